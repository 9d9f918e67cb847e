"""Fingerprints beside feasibility: by time, by output, against noise, again when the zoo has changed; backdoors."""

import math

import numpy as np
import pytest
from conftest import cluster, queries
from hypothesis import given
from hypothesis import strategies as st

from adversaries import (
    BackdoorUser,
    BayesianBisection,
    Budget,
    Campaign,
    CellCentre,
    CloneRecipe,
    FingerprintOnly,
    Grid,
    MostAccurateFirst,
    OutputFingerprint,
    TimingFingerprint,
    Voting,
    Watch,
    judge,
)
from adversaries.fingerprinting.cells import centred
from adversaries.fingerprinting.noisy_search import laplace_cdf
from adversaries.fingerprinting.side_channels import steps
from experiments.conformance.example import example_zoo
from policies import ExponentialMechanism, LaplaceNoise
from sim import NOISE, ModelWithdrawal, Spec, deploy
from zoo import load_table
from zoo.builtin import POISON, blobs_zoo, builtin_zoo

RECIPE = CloneRecipe("linear", "soft", 1)


def attack(zoo, adversary, arrivals=None, until_s=500.0, seed=1, **settings):
    built = cluster(zoo, arrivals or queries([]), closed_loop=adversary.budget.queries, seed=seed, **settings)
    campaign = Campaign("thief", adversary, 7, zoo, seed)
    campaign.launch(built)
    built.env.run(until=until_s)
    record = built.record(attackers={7: "thief"})
    return judge(campaign, record, RECIPE), campaign


# --- time -------------------------------------------------------------------------------------------------------------


def test_times_alone_find_the_front_on_an_idle_cluster():
    adversary = TimingFingerprint(budget=Budget(20_000), probes=60)
    judged, campaign = attack(load_table("psml-cifar10"), adversary)
    assert judged.fingerprint.models_found == 12
    assert len(campaign.notes.specs) == 12


def loaded(zoo, rate, seed, horizon_s=60.0):
    rng = np.random.default_rng(seed)
    sent_s = np.cumsum(rng.exponential(1 / rate, int(rate * horizon_s)))
    return queries(sent_s, accuracy=rng.uniform(0.3, 0.8, len(sent_s)), latency_s=0.1)


def test_the_least_of_many_times_withstands_queueing_better_than_their_median():
    zoo = load_table("psml-cifar10")
    found = {"minimum": [], "median": []}
    for statistic, counts in found.items():
        for seed in range(5):
            adversary = TimingFingerprint(budget=Budget(4000), probes=40, statistic=statistic)
            judged, _ = attack(zoo, adversary, loaded(zoo, 120.0, seed), seed=seed, workers=2)
            counts.append(judged.fingerprint.models_found)
    gains = np.subtract(found["minimum"], found["median"])
    assert gains.mean() - 2.776 * gains.std(ddof=1) / math.sqrt(5) > 0


def test_a_median_tells_the_middle_of_what_is_feasible():
    judged, campaign = attack(
        example_zoo(), TimingFingerprint(budget=Budget(500), probes=1, statistic="median", accuracy_step=0.9)
    )
    # One probe at accuracy 0, one at 0.9: the second reaches the slowest model only.
    assert judged.fingerprint.queries == 2
    assert campaign.notes.specs[0] == Spec(0.9, 0.03)


# --- outputs ----------------------------------------------------------------------------------------------------------


def test_answers_tell_the_models_apart_and_where_they_lie():
    judged, campaign = attack(blobs_zoo(), OutputFingerprint(budget=Budget(20_000)))
    assert campaign.notes.told_apart == 4
    assert judged.fingerprint.models_found == judged.fingerprint.models_total == 4


def test_labels_tell_only_models_apart_that_disagree():
    zoo = builtin_zoo("digits").where(lambda v: v.device == "gpu" and v.model in {"mlp4", "mlp16", "cnn16"})
    _, by_probabilities = attack(zoo, OutputFingerprint(budget=Budget(5000), items=3))
    _, by_labels = attack(zoo, OutputFingerprint(budget=Budget(5000), items=3, labels=True))
    assert by_probabilities.notes.told_apart == 3
    assert 1 <= by_labels.notes.told_apart <= 3


def test_outputs_need_networks():
    with pytest.raises(ValueError, match="'output-fingerprint' needs a zoo of networks"):
        OutputFingerprint().check_zoo(load_table("psml-cifar10"))


@given(st.lists(st.integers(0, 60), max_size=8))
def test_halving_finds_every_step_of_a_count(places):
    def count(spec):
        return sum(spec >= place + 1 for place in places)
        yield

    def run(process):
        try:
            while True:
                next(process)
        except StopIteration as done:
            return done.value

    ends = (-1, 62)
    assert run(steps(count, lambda n: n, ends, (0, len(places)))) == sorted(places)


# --- noise ------------------------------------------------------------------------------------------------------------


def fingerprint(search, scale, seed, table="psml-cifar10"):
    adversary = FingerprintOnly(budget=Budget(20_000), search=search)
    judged, _ = attack(load_table(table), adversary, defenses={"noise": LaplaceNoise(scale)}, seed=seed, until_s=5000.0)
    return judged.fingerprint


@pytest.mark.parametrize(
    ("search", "most"), [(BayesianBisection(1e-4, 1e-6), 175), (CellCentre(), 175 + 12 * 2 * 2 * 10)], ids=repr
)
def test_without_noise_they_find_all_that_there_is(search, most):
    found = fingerprint(search, 0.0, 1)
    assert found.models_found == 12
    assert found.queries <= most


def test_the_middle_of_a_cell_withstands_noise_that_a_corner_does_not():
    """Under noise of 1 % of the range, the hit rate of the specs that were found without it."""
    zoo = load_table("psml-cifar10")
    corners = [Spec(*spec) for spec in fingerprint(MostAccurateFirst(), 0.0, 1).specs]
    middles = centred(corners, Grid())
    rewrite, rng = deploy(LaplaceNoise(0.01), zoo).rewrite[0].function, np.random.default_rng(1)
    rates = []
    for specs in (corners, middles):
        hits = []
        for spec in specs:
            target = zoo.feasible.of(spec.min_accuracy, spec.max_latency_s)
            noisy = rewrite(np.full(2000, spec.min_accuracy), np.full(2000, spec.max_latency_s), rng)
            hits.append(np.mean([zoo.feasible.of(float(a), float(b)) == target for a, b in zip(*noisy, strict=True)]))
        rates.append(np.mean(hits))
    assert rates[1] > rates[0] + 0.1


@pytest.mark.parametrize("table", ["psml-cifar10", "psml-svhn"])
def test_cells_have_a_middle_inside(table):
    zoo = load_table(table)
    corners = [Spec(*spec) for spec in fingerprint(MostAccurateFirst(), 0.0, 1, table).specs]
    for corner, middle in zip(corners, centred(corners, Grid()), strict=True):
        assert len(zoo.feasible.of(middle.min_accuracy, middle.max_latency_s)) == 1
        assert middle.min_accuracy <= corner.min_accuracy
        assert middle.max_latency_s >= corner.max_latency_s
    assert centred([], Grid()) == []


def test_a_budget_that_ends_a_search_leaves_middles():
    adversary = FingerprintOnly(budget=Budget(40), search=CellCentre())
    judged, campaign = attack(load_table("psml-cifar10"), adversary)
    assert judged.fingerprint.queries == 40
    assert 1 <= len(campaign.notes.specs) < 12
    assert campaign.notes.specs[0].max_latency_s > 0.0205


def test_the_law_of_the_noise_is_laplaces():
    from scipy import stats

    values = np.linspace(-6, 6, 50)
    assert laplace_cdf(values) == pytest.approx(stats.laplace.cdf(values))


@pytest.mark.parametrize("anyway", [0.0, 0.4])
def test_a_posterior_finds_a_place_behind_noise_of_its_law(anyway):
    rng = np.random.default_rng(1)
    off = []
    for place in rng.integers(0, 200, size=40).tolist():

        def ask(number, place=place):
            return bool(number + rng.laplace(0, 2.0) <= place + 0.5 or rng.random() < anyway)
            yield

        process = BayesianBisection(most=400)._place(ask, lambda n: n, (-1, 200), 2.0, anyway)
        try:
            next(process)
        except StopIteration as done:
            off.append(abs(done.value - place))
    assert np.mean(np.array(off) <= 1) > 0.9


def test_a_posterior_asks_less_than_votes_where_noise_is_small():
    """At noise of 0.5 % of the range: as many models as votes, aimed at the middle, for fewer queries."""
    zoo = load_table("psml-cifar10")
    spans = np.ptp(zoo.accuracies), np.ptp(zoo.latencies_s)
    posterior = CellCentre(BayesianBisection(0.005 * spans[0], 0.005 * spans[1]))
    found = {search: [fingerprint(search, 0.005, seed) for seed in range(5)] for search in (posterior, Voting())}
    less = np.subtract(*[[f.queries for f in of] for of in reversed(found.values())])
    assert less.mean() - 2.776 * less.std(ddof=1) / math.sqrt(5) > 0
    assert np.mean([f.models_found for f in found[posterior]]) >= 10


# --- change -----------------------------------------------------------------------------------------------------------


class Service:
    """A stub of a client whose zoo changes at a time; every question takes a millisecond."""

    def __init__(self, before, after, change_s):
        self.zoos, self.change_s, self.now, self.sent = (before, after), change_s, 0.0, 0

    def ask(self, item, spec):
        assert item == NOISE
        zoo = self.zoos[self.now >= self.change_s]
        self.now += 0.001
        self.sent += 1
        return bool(zoo.feasible.of(spec.min_accuracy, spec.max_latency_s))

    def wait(self, seconds):
        self.now += seconds


def watch(before, after, change_s, until_s):
    from adversaries import Notes
    from sim import Answer

    service, notes = Service(before, after, change_s), Notes()
    process = Watch(period_s=5.0).attack(service, notes, None, None)
    said = next(process)
    while service.now < until_s:
        answer = Answer("answered" if said else "infeasible", None, 0.0, 0.001)
        said = process.send(answer)
    return notes


def test_a_changed_zoo_is_fingerprinted_again():
    whole = load_table("psml-cifar10")
    for gone in ("densenet161", "resnet50", "resnet18"):
        notes = watch(whole, whole.where(lambda v, gone=gone: v.model != gone), 20.0, 60.0)
        assert [len(found) for _, found in notes.fingerprints] == [12, 11]
        assert 20.0 <= notes.fingerprints[1][0] <= 26.0
        assert [name for name, *_ in notes.phases] == ["fingerprint", "watch", "fingerprint", "watch"]
        grown = watch(whole.where(lambda v, gone=gone: v.model != gone), whole, 20.0, 60.0)
        assert [len(found) for _, found in grown.fingerprints] == [11, 12]


@pytest.mark.parametrize("gone", ["densenet161", "resnet50", "resnet18"])
def test_a_model_that_is_withdrawn_from_the_cluster_is_missed(gone):
    """Among benign users, in the cluster itself: away at 30 s, back at 60 s, noticed within a look each time."""
    zoo = load_table("psml-cifar10")
    away = {"away": ModelWithdrawal(at_s=(30.0,), for_s=30.0, models=(gone,))}
    adversary = Watch(budget=Budget(2000), period_s=5.0)
    _, campaign = attack(zoo, adversary, loaded(zoo, 20.0, 1, 90.0), until_s=90.0, faults=away)
    assert [len(found) for _, found in campaign.notes.fingerprints] == [12, 11, 12]
    assert 30 < campaign.notes.fingerprints[1][0] < 40
    assert 60 < campaign.notes.fingerprints[2][0] < 70


def test_an_unchanged_zoo_is_fingerprinted_once():
    zoo = load_table("psml-cifar10")
    judged, campaign = attack(zoo, Watch(budget=Budget(2000), period_s=5.0), until_s=58.0)
    assert len(campaign.notes.fingerprints) == 1
    watching = judged.phases[1]
    # Two questions for each of twelve models and one more, twelve times: after the fingerprint and every 5 s since.
    assert watching.queries == 12 * 25


# --- backdoor ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fingerprinting", [True, False])
@pytest.mark.parametrize("defenses", [{}, {"pf": ExponentialMechanism(20.0, "l1")}], ids=["open", "defended"])
def test_a_backdoor_succeeds_as_often_as_it_is_routed_to(fingerprinting, defenses):
    zoo = builtin_zoo("digits-poisoned")
    adversary = BackdoorUser(budget=Budget(3000), fingerprinting=fingerprinting, latency_bound_s=0.03)
    judged, campaign = attack(zoo, adversary, defenses=defenses)
    found = judged.backdoor
    assert found.success == found.turned / found.sent
    error = math.sqrt(found.expected * (1 - found.expected) * (1 / found.sent + 1 / 20_000))
    assert abs(found.success - found.expected) < 4 * error
    if not defenses:
        poisoned = [v.model for v in zoo.variants].index("poisoned")
        spec = campaign.notes.chosen
        assert zoo.feasible.of(spec.min_accuracy, spec.max_latency_s) == (
            (poisoned,) if fingerprinting else (0, 1, 2, 3)
        )


def test_the_wanted_label_is_one_of_the_poison():
    assert BackdoorUser().label == POISON.target
    with pytest.raises(ValueError, match=r"'backdoor' needs a zoo with a poisoned member, such as digits-poisoned"):
        BackdoorUser().check_zoo(builtin_zoo("digits"))


def test_finding_the_poisoned_member_pays():
    zoo = builtin_zoo("digits-poisoned")
    success = [
        attack(zoo, BackdoorUser(budget=Budget(1500), fingerprinting=way, latency_bound_s=0.03))[0].backdoor
        for way in (True, False)
    ]
    gain = success[0].success - success[1].success
    error = math.sqrt(0.25 / success[0].sent + 0.25 / success[1].sent)
    assert gain > 4 * error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimingFingerprint(probes=0), "probes must be at least 1"),
        (lambda: TimingFingerprint(accuracy_step=0.0), "accuracy_step must be in"),
        (lambda: TimingFingerprint(resolution=0.0), "resolution must be above 0"),
        (lambda: OutputFingerprint(items=0), "items must be at least 1"),
        (lambda: OutputFingerprint(repeats=0), "repeats must be at least 1"),
        (lambda: Watch(period_s=0.0), "period_s must be above 0"),
        (lambda: BackdoorUser(label=-1), "label must be at least 0"),
        (lambda: BackdoorUser(trials=0), "trials must be at least 1"),
        (lambda: BackdoorUser(fingerprint_share=0.6), "fingerprint_share must be in"),
        (lambda: BayesianBisection(accuracy_noise=0.0), "accuracy_noise must be above 0"),
        (lambda: BayesianBisection(latency_noise_s=math.inf), "latency_noise_s must be above 0"),
        (lambda: BayesianBisection(sure=0.5), "sure must be in"),
        (lambda: BayesianBisection(most=0), "most must be at least 1"),
        (lambda: BayesianBisection(margin=-1.0), "margin must be at least 0"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()
