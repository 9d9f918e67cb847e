"""Fingerprinting and extraction: on an idle cluster, under load, under noise, and within their budgets."""

import math

import numpy as np
import pytest
from conftest import cluster, front_zoo, queries
from hypothesis import given, settings
from hypothesis import strategies as st

from adversaries import (
    BestUnderBound,
    Budget,
    Campaign,
    CloneRecipe,
    FingerprintOnly,
    FingerprintThenExtract,
    Grid,
    MostAccurateFirst,
    NaiveExtraction,
    OracleExtraction,
    Sharing,
    Sybils,
    Voting,
    judge,
)
from adversaries.contract import pick
from analysis import estimate
from experiments.conformance.example import example_zoo
from policies import BySpec, EarlyDrop, ExponentialMechanism, Greedy, LaplaceNoise, QueueBound, TokenBucket
from sim import NOISE, OUTCOMES, BudgetExhausted, Crash, Spec
from zoo import Variant, Zoo, affine_law, load_table

RECIPE = CloneRecipe("mlp8", epochs=3)


def attack(zoo, adversary, arrivals=None, workers=1, **policies):
    arrivals = queries([]) if arrivals is None else arrivals
    built = cluster(zoo, arrivals, workers, closed_loop=adversary.budget.queries, **policies)
    campaign = Campaign("thief", adversary, 7, zoo, 1)
    campaign.launch(built)
    built.env.run(until=500.0)
    record = built.record(attackers=dict.fromkeys(campaign.accounts, "thief"))
    return judge(campaign, record, RECIPE), record


@pytest.mark.parametrize("table", ["psml-cifar10", "psml-svhn"])
def test_an_idle_cluster_without_noise_gives_away_all_twelve_models(table):
    """PSML's fingerprint at (0.01, 0.1 ms, cap 100 ms): 12 of 12, every spec selects one.

    175 queries and 173: within the bound of the algorithm, 12 models at 1 for whether there is one, 7 halvings of
    accuracies 0 to 100 and 10 of latencies 1 to 1000, and 1 for that there are no more.
    """
    zoo = load_table(table)
    judged, _ = attack(zoo, FingerprintOnly())
    found = judged.fingerprint
    assert (found.models_found, found.models_total) == (12, 12)
    assert found.queries == {"psml-cifar10": 175, "psml-svhn": 173}[table] <= 12 * (1 + 7 + 10) + 1
    assert [len(zoo.feasible.of(*spec)) for spec in found.specs] == [1] * 12
    accuracies = [accuracy for accuracy, _ in found.specs]
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.mark.parametrize("table", ["psml-cifar10", "psml-svhn"])
def test_sharing_finds_them_in_fewer_queries(table):
    zoo = load_table(table)
    plain, _ = attack(zoo, FingerprintOnly())
    judged, _ = attack(zoo, FingerprintOnly(search=Sharing()))
    found = judged.fingerprint
    assert (found.models_found, found.models_total) == (12, 12)
    assert found.queries <= 155
    assert found.queries < plain.fingerprint.queries
    assert found.specs == plain.fingerprint.specs


def test_the_best_model_under_a_bound_takes_eight_queries():
    for bound_s, best in ((0.1, "densenet161"), (0.01, "resnet50"), (0.005, "mobilenet_v3_small")):
        zoo = load_table("psml-cifar10")
        judged, _ = attack(zoo, FingerprintOnly(grid=Grid(latency_cap_s=bound_s), search=BestUnderBound()))
        (spec,) = judged.fingerprint.specs
        assert [zoo.variants[v].model for v in zoo.feasible.of(*spec)] == [best]
        assert judged.fingerprint.queries <= 8


def asks_of(search, corners):
    """Search a front of grid points (accuracy, latency in steps) without a cluster; return the count and the specs."""
    asked, found = [], []

    def ask(spec):
        asked.append(spec)
        accuracy, latency = round(spec.min_accuracy * 100), round(spec.max_latency_s * 1e4)
        return any(a >= accuracy and l <= latency for a, l in corners)
        yield

    assert list(search.search(ask, Grid(), found)) == []
    return len(asked), [(round(s.min_accuracy * 100), round(s.max_latency_s * 1e4)) for s in found]


def random_fronts(n, models=12):
    rng = np.random.default_rng(20_240)
    for _ in range(n):
        accuracies, latencies = (np.sort(rng.choice(top, models, replace=False)) + 1 for top in (100, 1000))
        yield list(zip(accuracies.tolist(), latencies.tolist(), strict=True))


def test_searches_against_the_bound_of_information():
    """Twelve points on this grid take 140.6 bits on average, one an answer; over 200 fronts, with intervals."""
    bound = math.log2(math.comb(100, 12)) + math.log2(math.comb(1000, 12))
    assert bound == pytest.approx(140.6, abs=0.05)
    counts = {}
    for search in (MostAccurateFirst(), Sharing()):
        counts[search.kind] = []
        for front in random_fronts(200):
            count, found = asks_of(search, front)
            assert found == sorted(front, reverse=True)
            counts[search.kind].append(count)
    plain, sharing = counts.values()
    saved = estimate([float(a - b) for a, b in zip(plain, sharing, strict=True)])
    assert saved.mean - saved.half_width > 20
    assert bound < np.mean(sharing) < bound + 25


def test_votes_see_through_noise():
    """On a zoo of five, with noise that hides most models from single questions, votes find more: ten seeds."""
    zoo = example_zoo()
    found = {}
    for search in (MostAccurateFirst(), Voting(likely=0.7, error=0.02, most=60)):
        found[search.kind] = []
        for seed in range(10):
            adversary = FingerprintOnly(budget=Budget(6000), search=search)
            built = cluster(
                zoo, queries([]), closed_loop=6000, seed=seed, defenses={"noise": LaplaceNoise(0.02)}, slo_scale=100.0
            )
            campaign = Campaign("thief", adversary, 7, zoo, seed)
            campaign.launch(built)
            built.env.run(until=500.0)
            found[search.kind].append(judge(campaign, built.record(), RECIPE).fingerprint.models_found)
    more = estimate([float(b - a) for a, b in zip(*found.values(), strict=True)])
    assert more.mean - more.half_width > 0


@pytest.mark.parametrize(("likely", "error", "lead"), [(0.75, 0.05, 3), (0.9, 0.05, 2), (0.6, 0.01, 12)])
def test_a_vote_ends_when_it_is_sure(likely, error, lead):
    count, _ = asks_of(Voting(BestUnderBound(), likely, error, most=99), [(50, 10)])
    single, _ = asks_of(BestUnderBound(), [(50, 10)])
    assert count == lead * single


@pytest.mark.parametrize("assignment", ["round-robin", "random", "sticky"])
def test_sybils_share_one_budget_and_one_attack(assignment):
    """Ten accounts find what one finds; each query is counted, and in the name of one of them."""
    zoo = example_zoo()
    alone, _ = attack(zoo, FingerprintThenExtract(budget=Budget(200)))
    many = FingerprintThenExtract(budget=Budget(200), sybils=Sybils(10, assignment))
    judged, record = attack(zoo, many)
    assert judged.accounts == tuple(range(7, 17))
    assert judged.fingerprint.specs == alone.fingerprint.specs
    assert judged.extraction.purity == alone.extraction.purity
    assert len(judged.queries) == len(record.account) == 200
    counts = np.bincount(record.account, minlength=17)[7:]
    assert counts.sum() == 200
    if assignment == "round-robin":
        assert counts.tolist() == [20] * 10
    if assignment == "sticky":
        items = record.item >= 0
        pairs = set(zip(record.item[items].tolist(), record.account[items].tolist(), strict=True))
        assert len(pairs) == len({item for item, _ in pairs})


def test_a_budget_of_money_ends_an_attack():
    """At a price by spec of .1 dollar an answer, one dollar buys ten."""
    adversary = OracleExtraction(budget=Budget(500, dollars=1.0))
    judged, record = attack(example_zoo(), adversary, pricing=BySpec(0.1, 0.0))
    assert len(judged.queries) == 10
    assert record.price.sum() == pytest.approx(1.0)
    assert attack(example_zoo(), OracleExtraction(budget=Budget(500, dollars=0.0)))[0].queries == ()


def test_a_budget_of_time_ends_an_attack():
    judged, record = attack(example_zoo(), OracleExtraction(start_s=2.0, budget=Budget(500, duration_s=0.2)))
    assert 0 < len(judged.queries) < 500
    assert record.sent_s.min() >= 2.0
    assert record.sent_s.max() < 2.2
    assert record.delivered_s.max() >= 2.2


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 60),
    st.integers(1, 4),
    st.integers(0, 2),
    st.sampled_from([None, TokenBucket(5.0, 2.0), QueueBound(1)]),
    st.booleans(),
)
def test_budgets_hold_under_retries_sybils_and_faults(most, accounts, retries, admission, crashing):
    """Never one query too many: whatever is throttled, shed, lost and tried again."""
    adversary = FingerprintThenExtract(budget=Budget(most), sybils=Sybils(accounts, "random"))
    faults = {"crash": Crash(mtbf_s=0.05, mttr_s=0.02)} if crashing else {}
    built = cluster(
        example_zoo(), queries([0.0, 0.1]), 2, closed_loop=most, admission=admission, faults=faults, retries=retries
    )
    campaign = Campaign("thief", adversary, 7, built.site.zoo, 1)
    campaign.launch(built)
    built.env.run(until=30.0)
    record = built.record(attackers=dict.fromkeys(campaign.accounts, "thief"))
    assert (record.account >= 7).sum() <= most
    assert len(judge(campaign, record, RECIPE).queries) == (record.account >= 7).sum()


def test_sybils_stay_below_a_limit_per_account():
    """A token bucket throttles one account that fingerprints, and not ten that do it together."""
    zoo, limit = example_zoo(), TokenBucket(rate=1.0, burst=20.0)
    throttled = {}
    for accounts in (1, 10):
        adversary = FingerprintOnly(budget=Budget(150), sybils=Sybils(accounts))
        _, record = attack(zoo, adversary, admission=limit)
        throttled[accounts] = int((record.outcome == OUTCOMES.index("throttled")).sum())
    assert throttled[1] > 50
    assert throttled[10] == 0


def test_a_coarse_grid_merges_models_less_than_a_step_apart():
    judged, _ = attack(load_table("psml-cifar10"), FingerprintOnly(grid=Grid(latency_step_s=0.001)))
    assert judged.fingerprint.models_found == 10
    assert judged.fingerprint.queries < 175  # what it takes at a tenth of a millisecond


def test_models_beyond_the_cap_are_out_of_reach():
    judged, _ = attack(load_table("psml-cifar10"), FingerprintOnly(grid=Grid(latency_cap_s=0.010)))
    assert (judged.fingerprint.models_found, judged.fingerprint.models_total) == (7, 7)


fronts = st.lists(
    st.tuples(st.integers(1, 98), st.integers(1, 900)),
    min_size=1,
    max_size=10,
    unique_by=(lambda p: p[0], lambda p: p[1]),
)


@settings(max_examples=60, deadline=None)
@given(fronts)
def test_a_fingerprint_finds_every_front_that_the_grid_resolves(plane):
    steps = list(zip(sorted(a for a, _ in plane), sorted(l for _, l in plane), strict=True))
    zoo = Zoo(
        "any", tuple(Variant(f"m{i}", "gpu", a / 100, 0, affine_law(l / 1e4, 0.8)) for i, (a, l) in enumerate(steps))
    )
    judged, _ = attack(zoo, FingerprintOnly(budget=Budget(400)))
    found = judged.fingerprint
    assert found.models_found == len(steps)
    assert found.queries <= len(steps) * (1 + 7 + 10) + 1


def test_a_drop_is_not_taken_for_an_infeasible_spec():
    """Under load tight probes expire; the fingerprint asks again and still finds every model."""
    zoo = front_zoo(3)
    rng = np.random.default_rng(1)
    load = queries(np.sort(rng.uniform(0, 60, 12_000)), 0.0, 0.5)
    judged, record = attack(
        zoo, FingerprintOnly(budget=Budget(2000)), load, dropping=EarlyDrop(), batching=Greedy(4), slo_scale=2.0
    )
    assert judged.fingerprint.models_found == 3
    probes = record.account == 7
    assert (record.outcome[probes] == 5).any(), "the load did not make any probe expire"


def test_noise_hides_the_models():
    zoo = load_table("psml-cifar10")
    quiet, _ = attack(zoo, FingerprintOnly())
    noisy, _ = attack(zoo, FingerprintOnly(), defenses={"noise": LaplaceNoise(0.1)})
    silent, _ = attack(zoo, FingerprintOnly(), defenses={"noise": ExponentialMechanism()})
    assert noisy.fingerprint.models_found < quiet.fingerprint.models_found
    # The exponential mechanism always answers: one spec at the very edge of the grid, and no model.
    assert silent.fingerprint.models_found == 0


@pytest.mark.parametrize(
    ("adversary", "target", "purity"),
    [
        (FingerprintThenExtract(budget=Budget(200)), "model4", 1.0),
        (FingerprintThenExtract(budget=Budget(200), latency_bound_s=0.015), "model3", 1.0),
        (FingerprintThenExtract(budget=Budget(200), target="fastest"), "model0", 1.0),
        (OracleExtraction(budget=Budget(200)), "model4", 1.0),
        (NaiveExtraction(budget=Budget(200)), "model4", None),
    ],
    ids=repr,
)
def test_extraction_reaches_its_target(adversary, target, purity):
    judged, record = attack(example_zoo(), adversary)
    result = judged.extraction
    assert result.target == target
    if purity is not None:
        assert result.purity == purity
        assert not judged.fingerprint or judged.fingerprint.hit_rate == 1.0
    else:
        assert 0.05 < result.purity < 0.4  # one of five
    assert result.labels + (judged.fingerprint.queries if judged.fingerprint else 0) == 200
    assert 0 <= result.accuracy <= 1
    assert 0 <= result.fidelity <= 1
    assert (record.account == 7).sum() == 200


def test_the_median_target_is_asked_for_at_its_corner():
    judged, record = attack(example_zoo(), FingerprintThenExtract(budget=Budget(200), target="median"))
    assert judged.extraction.target == "model1"
    asked = record.account == 7
    assert record.max_latency_s[asked][-1] == pytest.approx(0.005)
    assert record.min_accuracy[asked][-1] == pytest.approx(0.70)


def test_with_nothing_found_it_falls_back_to_the_naive_spec():
    adversary = FingerprintThenExtract(budget=Budget(60), latency_bound_s=0.0019, grid=Grid(latency_cap_s=0.0019))
    judged, record = attack(example_zoo(), adversary)
    assert judged.fingerprint.specs == ()
    assert judged.fingerprint.models_total == 0
    assert judged.extraction.target == "model0"
    assert judged.extraction.labels == 0
    assert judged.extraction.purity is None
    assert judged.extraction.accuracy is None
    assert record.max_latency_s[-1] == 0.0019


def test_fingerprinting_stops_at_its_share_of_the_budget():
    judged, _ = attack(example_zoo(), FingerprintThenExtract(budget=Budget(40), fingerprint_share=0.25))
    assert judged.fingerprint.queries == 10
    assert [phase.queries for phase in judged.phases] == [10, 30]
    assert judged.phases[0].end_s == judged.phases[1].start_s
    assert judged.phases[1].end_s > judged.phases[1].start_s


def test_items_are_asked_without_replacement_until_the_pool_is_empty():
    _, record = attack(example_zoo(), NaiveExtraction(budget=Budget(100)))
    items = record.item[record.account == 7]
    pool = set(example_zoo().answers.data.pool.tolist())
    assert set(items[:40].tolist()) == set(items[40:80].tolist()) == pool
    assert len(set(items[80:].tolist())) == 20


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 90), st.floats(0, 0.3), st.sampled_from([FingerprintOnly, FingerprintThenExtract, NaiveExtraction])
)
def test_a_budget_is_never_exceeded_by_one_query(budget, scale, kind):
    adversary = kind(budget=Budget(budget))
    load = queries(np.arange(200) * 0.01, 0.0, 0.05)
    judged, record = attack(
        example_zoo(),
        adversary,
        load,
        defenses={"noise": LaplaceNoise(scale)},
        dropping=EarlyDrop(),
        batching=Greedy(4),
    )
    sent = int((record.account == 7).sum())
    assert sent <= budget
    assert sent == len(judged.queries) == sum(phase.queries for phase in judged.phases)
    if kind is not FingerprintOnly:
        assert sent == budget


def test_a_client_refuses_what_is_not_its_to_spend():
    built = cluster(example_zoo(), queries([]), closed_loop=2)
    client = built.client("user", 3, 1)
    client.ask(NOISE, Spec(0.0, 1.0))
    assert client.remaining == 0
    with pytest.raises(BudgetExhausted):
        client.ask(NOISE, Spec(0.0, 1.0))
    with pytest.raises(ValueError, match="seconds must be at least 0"):
        client.wait(-1.0)
    with pytest.raises(ValueError, match="seconds must be at least 0"):
        client.wait(float("nan"))
    built.closes_s = 0.0
    with pytest.raises(BudgetExhausted):
        built.client("late", 4, 1).ask(NOISE, Spec(0.0, 1.0))


def test_a_client_learns_the_outcome_the_answer_the_price_and_the_time():
    zoo = example_zoo()
    built = cluster(zoo, queries([]), closed_loop=3)
    client = built.client("user", 3, 3)
    item = int(zoo.answers.data.pool[0])
    asked = [client.ask(item, Spec(0.9, 1.0)), client.ask(NOISE, Spec(0.0, 0.002)), client.ask(item, Spec(1.0, 1.0))]
    built.env.run()
    answered, noise, infeasible = (event.value for event in asked)
    assert answered.served
    assert np.array_equal(answered.probabilities, zoo.answers.probabilities[4, item])
    assert answered.price == pytest.approx(1e-4 + 0.9e-4)
    assert answered.elapsed_s == pytest.approx(0.030)
    assert noise.served
    assert noise.probabilities is None
    assert (infeasible.outcome, infeasible.probabilities, infeasible.price, infeasible.elapsed_s) == (
        "infeasible",
        None,
        0,
        0,
    )
    assert answered._fields == ("outcome", "probabilities", "price", "elapsed_s")


def test_the_attack_never_touches_the_truth():
    """With the judge's truth replaced by garbage the attack sends the very same queries."""
    zoo = example_zoo()
    runs = []
    for truth in (zoo, Zoo("garbage", (Variant("x", "gpu", 0.01, 0, affine_law(9.0, 0.8)),), None)):
        built = cluster(zoo, queries([]), closed_loop=80)
        campaign = Campaign("thief", FingerprintThenExtract(budget=Budget(80)), 7, zoo, 1)
        campaign.launch(built)
        campaign.zoo = truth if truth.answers is not None else zoo.where(lambda v: v.model == "model0")
        built.env.run(until=100)
        runs.append(built.record(attackers={7: "thief"}))
    for column in ("sent_s", "item", "min_accuracy", "max_latency_s", "outcome"):
        assert np.array_equal(getattr(runs[0], column), getattr(runs[1], column))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(-1), "queries must be at least 0, not -1"),
        (lambda: FingerprintOnly(start_s=-1.0), "start_s must be at least 0"),
        (lambda: NaiveExtraction(latency_bound_s=0.0), "latency_bound_s must be above 0"),
        (lambda: FingerprintThenExtract(fingerprint_share=0.0), "fingerprint_share must be in"),
        (lambda: Grid(accuracy_step=0.0), "accuracy_step must be in"),
        (lambda: Grid(latency_step_s=0.2), "latency_step_s must be above 0 and at most latency_cap_s"),
        (lambda: CloneRecipe("resnet"), "architecture must be linear, mlp"),
        (lambda: CloneRecipe("mlp0"), "not 'mlp0'"),
        (lambda: CloneRecipe(epochs=0), "epochs must be at least 1"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_targets_are_picked_from_the_slowest():
    assert [pick([5, 4, 3, 2, 1], target) for target in ("most-accurate", "median", "fastest")] == [5, 3, 1]


def test_soft_labels_train_too():
    zoo = example_zoo()
    built = cluster(zoo, queries([]), closed_loop=50)
    campaign = Campaign("thief", OracleExtraction(budget=Budget(50)), 7, zoo, 1)
    campaign.launch(built)
    built.env.run(until=100)
    record = built.record(attackers=dict.fromkeys(campaign.accounts, "thief"))
    hard, soft = (judge(campaign, record, CloneRecipe("cnn2", labels, 2)).extraction for labels in ("hard", "soft"))
    assert hard.labels == soft.labels == 50
    # These answers are one-hot, so the two recipes train on the same targets.
    assert (hard.accuracy, hard.fidelity) == (soft.accuracy, soft.fidelity)


@pytest.mark.parametrize("copied", [0, 4])
def test_fidelity_is_agreement_with_the_target_and_accuracy_with_the_truth(copied, monkeypatch):
    """A clone that answers exactly as one member does: fidelity and accuracy follow from the answer table."""
    from zoo import networks

    zoo = example_zoo()
    test, labels = zoo.answers.data.test, zoo.answers.data.labels
    monkeypatch.setattr(networks, "probabilities", lambda *_: zoo.answers.probabilities[copied, test])
    judged, _ = attack(zoo, OracleExtraction(budget=Budget(30)))
    top = zoo.answers.top_labels()[:, test]
    assert judged.extraction.target == "model4"
    assert judged.extraction.fidelity == (top[copied] == top[4]).mean()
    assert judged.extraction.accuracy == (top[copied] == labels[test]).mean()
    assert judged.extraction.relative_accuracy == pytest.approx(
        judged.extraction.accuracy / (top[4] == labels[test]).mean()
    )
    assert (judged.extraction.fidelity == 1.0) == (copied == 4)


def test_an_unanswered_item_is_asked_again_at_once():
    adversary = NaiveExtraction(budget=Budget(150), latency_bound_s=0.003)
    _, record = attack(example_zoo(), adversary, defenses={"noise": LaplaceNoise(1.0)})
    asked = np.flatnonzero(record.account == 7)
    unanswered = record.outcome[asked[:-1]] != 0
    assert 10 < unanswered.sum() < 140
    assert (record.item[asked[1:]] == record.item[asked[:-1]])[unanswered].all()
    assert not (record.item[asked[1:]] == record.item[asked[:-1]])[~unanswered].all()


def test_a_spec_that_several_models_meet_finds_none():
    built = cluster(example_zoo(), queries([]), closed_loop=1)
    campaign = Campaign("thief", FingerprintOnly(), 7, example_zoo(), 1)
    campaign.notes.phases.append(("fingerprint", 0.0, 0))
    campaign.notes.specs += [Spec(0.0, 0.1), Spec(0.0, 0.002), Spec(0.61, 0.0055), Spec(1.0, 0.1)]
    judged = judge(campaign, built.record(attackers={7: "thief"}), RECIPE)
    # Only the fastest model and the second are selected alone; five meet the first spec, and none the last.
    assert judged.fingerprint.models_found == 2
    assert judged.fingerprint.models_total == 4
