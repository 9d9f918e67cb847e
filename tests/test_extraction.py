"""Extraction: what each strategy asks for, in which manner, what clones are worth, what exact learners recover."""

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pytest
from conftest import cluster, queries
from hypothesis import given
from hypothesis import strategies as st

from adversaries import (
    Active,
    Adversary,
    Averaging,
    Budget,
    Campaign,
    CloneRecipe,
    Cover,
    DataFreeExtraction,
    DeepFool,
    DisGuide,
    EntropyReverse,
    Filtering,
    FingerprintThenExtract,
    GiveUp,
    JacobianAugmentation,
    KCentre,
    KnockoffAdaptive,
    LineSearch,
    NaiveExtraction,
    OracleExtraction,
    Pacing,
    RandomQueries,
    Retry,
    SolveLinear,
    Strategy,
    Sybils,
    Uncertainty,
    judge,
    recovered,
)
from adversaries.extraction.active import Round, farthest_first
from adversaries.extraction.strategies import _Rewards, clustered
from adversaries.judging.clones import Judge
from experiments.conformance.example import example_zoo
from policies import BySpec, LaplaceNoise, TokenBucket
from sim import OUTCOMES, Crash
from zoo import networks
from zoo.builtin import blobs_zoo, builtin_zoo
from zoo.datasets import Split
from zoo.families import Family, Member, family_zoo

RECIPE = CloneRecipe("linear", "soft", 2)


def attack(zoo, adversary: Adversary, recipe=RECIPE, until_s=200.0, seed=1, **settings):
    built = cluster(zoo, queries([]), closed_loop=adversary.budget.queries, seed=seed, **settings)
    campaign = Campaign("thief", adversary, 7, zoo, seed)
    campaign.launch(built)
    built.env.run(until=until_s)
    record = built.record(attackers=dict.fromkeys(campaign.accounts, "thief"))
    return judge(campaign, record, recipe), record, campaign


def digits():
    return builtin_zoo("digits").where(lambda variant: variant.device == "gpu")


def oracle(budget=100, **fields):
    return OracleExtraction(budget=Budget(budget), **fields)


# --- exact learners ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["linear1", "linear2", "linear4", "linear8"])
def test_a_linear_victim_is_recovered_from_d_plus_one_answers(target):
    zoo = blobs_zoo()
    judged, record, campaign = attack(zoo, oracle(9, strategy=SolveLinear(), model=target))
    assert len(record.sent_s) == 9
    victim, row = zoo.answers.networks, zoo.answers.models.index(target)
    weights = victim.weights[row] - victim.weights[row][0]
    biases = victim.biases[row] - victim.biases[row][0]
    assert np.abs(campaign.notes.clone.weights - weights).max() < 1e-6
    assert np.abs(campaign.notes.clone.biases - biases).max() < 1e-6
    own = judged.extraction.own_clone
    assert own.fidelity == 1.0
    assert own.kl_nats == pytest.approx(0, abs=1e-6)
    assert own.l1 == pytest.approx(0, abs=1e-4)


@pytest.fixture(scope="module")
def adult(data_folder, tmp_path_factory):
    split = Split("adult", train=5000, pool=20_000, test=16_281)
    family = Family("adult", split, (Member("logistic", "linear", 5000, 5, 0.002),))
    return family_zoo(family, tmp_path_factory.mktemp("cache"), data_folder)


@pytest.mark.parametrize(
    ("strategy", "most"), [(SolveLinear(), 109), (LineSearch(), 4000)], ids=["probabilities", "labels"]
)
def test_a_trained_logistic_regression_on_adult_is_recovered(adult, strategy, most):
    """Of 108 features: from 109 probability answers, or from some 2,600 labels."""
    assert adult.variants[0].accuracy > 0.83
    judged, record, campaign = attack(adult, oracle(most, strategy=strategy), until_s=1000.0)
    layer = networks.weights(adult.answers.networks.network(0))
    normal = (layer["1.weight"][1] - layer["1.weight"][0]).astype(float)
    found = campaign.notes.clone.weights[1] - campaign.notes.clone.weights[0]
    if isinstance(strategy, SolveLinear):
        assert len(record.sent_s) == 109
        assert np.abs(found - normal).max() < 1e-6
    else:
        assert 2000 < len(record.sent_s) < 3500
        assert found / np.linalg.norm(found) == pytest.approx(normal / np.linalg.norm(normal), abs=1e-5)
    assert judged.extraction.own_clone.fidelity == 1.0


def test_one_answer_less_recovers_nothing():
    judged, _, campaign = attack(blobs_zoo(), oracle(8, strategy=SolveLinear()))
    assert campaign.notes.clone is None
    assert judged.extraction.own_clone is None


def test_labels_alone_give_the_boundary_of_two_classes():
    zoo = blobs_zoo(2)
    judged, record, campaign = attack(zoo, oracle(600, strategy=LineSearch()))
    victim = zoo.answers.networks
    row = zoo.answers.models.index(judged.extraction.target)
    normal = victim.weights[row, 1] - victim.weights[row, 0]
    offset = (victim.biases[row, 1] - victim.biases[row, 0]) / np.linalg.norm(normal)
    assert campaign.notes.clone.weights[1] == pytest.approx(normal / np.linalg.norm(normal), abs=1e-4)
    assert campaign.notes.clone.biases[1] == pytest.approx(offset, abs=1e-4)
    assert judged.extraction.own_clone.fidelity == 1.0
    # d points of the boundary, each by log2(length / precision) labels and a few to bracket it.
    assert len(record.sent_s) < 8 * (math.log2(8 / 1e-6) + 12)


def test_a_line_search_is_for_two_classes():
    with pytest.raises(ValueError, match="strategy 'line-search' needs a victim of two classes, not 3"):
        oracle(strategy=LineSearch()).check_zoo(blobs_zoo())


class StopAsking(Exception):  # noqa: N818 -- ends a stub
    """No more answers."""


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["in-distribution", "near", "out-of-distribution"])
def test_items_come_from_the_source_that_was_asked_for(source):
    zoo = blobs_zoo()
    _, record, _ = attack(zoo, oracle(source=source))
    pool = zoo.answers.data.pools[source]
    assert set(record.item.tolist()) <= set(pool.tolist())
    assert len(set(record.item.tolist())) == 100


def test_noise_is_made_and_answered_by_the_networks():
    zoo = blobs_zoo()
    _, record, campaign = attack(zoo, oracle(source="noise"))
    first = len(zoo.answers.data.labels)
    assert (record.item >= first).all()
    inputs = campaign.query_pool.inputs(np.array(campaign.notes.items))
    assert inputs.min() >= 0
    assert inputs.max() <= 1
    row = zoo.answers.models.index(campaign.target_model())
    assert np.array(campaign.notes.answers) == pytest.approx(zoo.answers.networks.probabilities(row, inputs), abs=1e-6)


def test_a_source_that_is_not_there_is_named():
    zoo = blobs_zoo()
    bare = dataclasses.replace(zoo.answers, data=dataclasses.replace(zoo.answers.data, pools={}), networks=None)
    without = dataclasses.replace(zoo, answers=bare)
    with pytest.raises(ValueError, match="source is 'near'; the zoo's data set has in-distribution, noise"):
        oracle(source="near").check_zoo(without)
    with pytest.raises(ValueError, match="strategy 'random' makes its own items; blobs has no networks for them"):
        oracle(source="noise").check_zoo(without)
    with pytest.raises(ValueError, match="strategy 'jacobian' makes its own items"):
        oracle(strategy=JacobianAugmentation()).check_zoo(without)
    with pytest.raises(ValueError, match="model is 'x'; allowed: linear1, linear2"):
        oracle(model="x").check_zoo(zoo)


def test_blocks_of_random_items_go_round_the_pool():
    zoo = blobs_zoo()
    _, record, _ = attack(zoo, oracle(1500, parallel=16))
    items = record.item.tolist()
    assert set(items[:1000]) == set(zoo.answers.data.pool.tolist())
    assert len(set(items[1000:])) == 500


def test_queries_under_way_are_as_many_as_allowed():
    _, record, _ = attack(blobs_zoo(), oracle(200, parallel=5))
    edges = np.concatenate([record.sent_s, record.delivered_s])
    steps = np.concatenate([np.ones(200), -np.ones(200)])
    order = np.lexsort((steps, edges))
    under_way = steps[order].cumsum()
    assert under_way.max() == 5
    assert under_way.min() >= 0


# --- selection --------------------------------------------------------------------------------------------------------


def view(inputs, known, answers, clone):
    as_items = [np.asarray(x, np.float32) for x in (inputs, known, answers)]
    return Round(clone, *as_items, np.random.default_rng(0))


def test_uncertain_and_certain_items_are_opposite_ends():
    clone = blobs_zoo().answers.networks.network(3)
    inputs = blobs_zoo().answers.data.inputs[:300]
    said = networks.probabilities(clone, inputs)
    entropy = -(said * np.log(said)).sum(axis=1)
    now = view(inputs, inputs[:1], said[:1], clone)
    assert set(Uncertainty().choose(now, 20).tolist()) == set(np.argsort(entropy)[-20:].tolist())
    assert set(EntropyReverse().choose(now, 20).tolist()) == set(np.argsort(entropy)[:20].tolist())


def test_farthest_first_by_hand():
    points = np.array([[0.0], [1.0], [4.0], [10.0], [4.5]], np.float32)
    # From 0: 10 is farthest; then 4.5 (4.5 from 0, 5.5 from 10); then 1.
    assert farthest_first(points, np.array([[0.0]], np.float32), 3).tolist() == [3, 4, 1]


def test_k_centre_chooses_in_the_clones_answers():
    clone = blobs_zoo().answers.networks.network(3)
    inputs = blobs_zoo().answers.data.inputs[:100]
    said = networks.probabilities(clone, inputs)
    now = view(inputs[10:], inputs[:10], said[:10], clone)
    assert KCentre().choose(now, 5).tolist() == farthest_first(said[10:], said[:10], 5).tolist()


def test_deepfool_is_exact_where_the_boundary_is_flat():
    from adversaries.extraction.clone_training import boundary_distances

    victim = blobs_zoo(2).answers.networks
    inputs = blobs_zoo(2).answers.data.inputs[:200]
    normal = victim.weights[3, 1] - victim.weights[3, 0]
    offset = victim.biases[3, 1] - victim.biases[3, 0]
    exact = np.abs(inputs @ normal + offset) / np.linalg.norm(normal)
    found = boundary_distances(victim.network(3), inputs)
    assert found == pytest.approx(1.02 * exact, rel=1e-3, abs=1e-5)
    now = view(inputs, inputs[:1], np.ones((1, 2)), victim.network(3))
    assert set(DeepFool().choose(now, 10).tolist()) == set(np.argsort(exact)[:10].tolist())


def test_rounds_ask_for_new_items_and_wait_for_training():
    zoo = blobs_zoo()
    strategy = Active(EntropyReverse(), rounds=3, start_share=0.25, recipe=RECIPE, train_s_per_answer=0.01)
    judged, record, campaign = attack(zoo, oracle(200, strategy=strategy, parallel=10))
    assert len(set(record.item.tolist())) == 200
    gaps = np.flatnonzero(np.diff(record.sent_s) > 0.4)
    assert (gaps + 1).tolist() == [50, 100, 150]
    assert np.diff(record.sent_s)[gaps] == pytest.approx([0.5, 1.0, 1.5], abs=0.2)
    # It trains once more on all 200 before it learns that its budget is spent.
    assert judged.train_s == campaign.notes.train_s == pytest.approx(0.5 + 1.0 + 1.5 + 2.0)


def test_a_bandit_prefers_what_pays():
    rewards = _Rewards(3)
    sure, unsure = np.array([[0.98, 0.01, 0.01]] * 8, np.float32), np.full((8, 3), 1 / 3, np.float32)
    rewards.of(np.concatenate([sure, unsure]), np.concatenate([np.full(8, 2.0), np.zeros(8)]))
    gain, mean = rewards.of(np.concatenate([sure[:4], unsure[:4]]), np.concatenate([np.full(4, 2.0), np.zeros(4)]))
    assert (gain[:4] > mean).all()
    assert (gain[4:] < mean).all()
    still, _ = _Rewards(3).of(unsure, np.zeros(8))  # no spread at all is no division by zero
    assert np.isfinite(still).all()


def test_a_bandit_asks_more_and_more_of_what_pays():
    """Half of the pool gets certain answers over all classes, the other half the same blank one."""

    class Service:
        pool, classes = np.arange(400), 3
        asked: ClassVar[list[int]] = []

        def inputs(self, items):
            return (np.asarray(items)[:, None] // 200 * 10 + np.arange(4) / 100).astype(np.float32)

        def query(self, items):
            self.asked.extend(items)
            certain = np.eye(3, dtype=np.float32)[np.asarray(items) % 3]
            return np.array(items), np.where((np.array(items) < 200)[:, None], certain, np.float32(1 / 3))
            yield

    strategy = KnockoffAdaptive(kinds=2, architecture="linear")
    process = strategy.collect(Service(), np.random.default_rng(1))
    with pytest.raises(StopIteration), pytest.MonkeyPatch.context() as patch:
        ask = Service.query

        def limited(self, items):
            if len(self.asked) >= 1200:
                raise StopAsking
            return (yield from ask(self, items))

        patch.setattr(Service, "query", limited)
        try:
            next(process)
        except StopAsking:
            raise StopIteration from None
    late = np.array(Service.asked[600:]) < 200
    assert late.mean() > 0.5 + 5 * math.sqrt(0.25 / len(late))


def test_kinds_are_clusters_of_the_pool():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(centre, 0.1, (50, 2)) for centre in (0, 5, 10)]).astype(np.float32)
    kind = clustered(points, 3, rng)
    assert [len(set(kind[first : first + 50].tolist())) for first in (0, 50, 100)] == [1, 1, 1]
    assert len(set(kind.tolist())) == 3


def test_augmented_items_lie_a_step_from_old_ones_and_double():
    zoo = digits()
    strategy = JacobianAugmentation(seeds=20, step=0.1, rounds=2, recipe=CloneRecipe("linear", "hard", 2))
    _, record, campaign = attack(zoo, oracle(80, strategy=strategy), CloneRecipe("linear", "hard", 1))
    items = np.array(campaign.notes.items)
    first = len(zoo.answers.data.labels)
    assert (items[:20] < first).all()
    assert (items[20:80] >= first).all()
    inputs = campaign.query_pool.inputs(items)
    apart = np.abs(inputs[20:40] - inputs[:20])
    moved = apart[(inputs[:20] > 0.1) & (inputs[:20] < 0.9)]
    assert moved == pytest.approx(0.1, abs=1e-6)
    assert len(record.sent_s) == 80


@pytest.mark.parametrize("strategy", [DisGuide(batch=16, architecture="mlp8"), DataFreeExtraction(batch=16)])
def test_data_free_attacks_ask_for_nothing_that_they_did_not_make(strategy):
    zoo = digits()
    judged, record, campaign = attack(
        zoo, oracle(200, strategy=strategy, parallel=16), CloneRecipe("linear", "soft", 1)
    )
    assert (record.item >= len(zoo.answers.data.labels)).all()
    assert judged.extraction.own_clone.labels == 200
    inputs = campaign.query_pool.inputs(record.item)
    assert inputs.min() >= 0
    assert inputs.max() <= 1


def test_forward_differences_find_the_gradient_that_the_black_box_hides():
    import torch

    from adversaries.extraction.generator import Maker, corrected, slope

    victim = blobs_zoo().answers.networks
    maker = Maker((8,), 3, "linear", 1, (0.03, 0.01), np.random.default_rng(1))
    _, points, unit = maker.steps_away(5, 4000, 1e-2)
    answers = victim.probabilities(3, points.reshape(-1, 8)).reshape(4001, 5, 3)
    found = slope(maker.students[0], points, answers, unit, 1e-2)
    x = torch.from_numpy(points[0]).requires_grad_()
    logits = maker.students[0](x)
    apart = logits - logits.mean(1, keepdim=True) - corrected(torch.softmax(victim.network(3)(x), 1))
    (exact,) = torch.autograd.grad(apart.abs().mean(1).sum(), x)
    # Each of 8 components has a standard error of about |gradient| * sqrt(8 / 4000).
    assert torch.allclose(found, exact, atol=5 * float(exact.norm(dim=1).max()) * math.sqrt(8 / 4000))
    assert torch.nn.functional.cosine_similarity(found, exact).min() > 0.95


# --- manners ----------------------------------------------------------------------------------------------------------


def test_retries_end_where_they_are_told_to():
    noise = {"defenses": {"noise": LaplaceNoise(1.0)}}
    naive = NaiveExtraction(budget=Budget(100), latency_bound_s=0.003, manner=(Retry(tries=2),))
    _, record, campaign = attack(example_zoo(), naive, **noise)
    runs = np.split(record.item, np.flatnonzero(np.diff(record.item)) + 1)
    assert {len(run) for run in runs} == {1, 2}
    served = np.flatnonzero(record.outcome == OUTCOMES.index("answered"))
    assert campaign.notes.asked == (served + 1).tolist()  # each when its answer was in, retries counted


def test_pacing_keeps_gaps_and_windows():
    manner = (Retry(), Pacing(gap_s=0.1, gaps="regular", open_s=1.0, every_s=4.0))
    _, record, _ = attack(blobs_zoo(), oracle(60, manner=manner))
    into = record.sent_s % 4.0
    assert into.max() <= 1.0 + 1e-9
    within = np.diff(record.sent_s)[np.diff(record.sent_s) < 1]
    assert within.min() >= 0.1
    poisson = Pacing(gap_s=0.1)
    _, record, _ = attack(blobs_zoo(), oracle(1000, manner=(poisson,)), until_s=1000.0)
    gaps = np.diff(record.sent_s) - (record.delivered_s - record.sent_s)[:-1]
    assert gaps.mean() == pytest.approx(0.1, abs=5 * 0.1 / math.sqrt(999))


def test_averages_are_of_all_copies_and_cost_all_of_them():
    zoo = blobs_zoo()
    naive = NaiveExtraction(budget=Budget(400), manner=(Retry(), Averaging(copies=40)))
    _, record, campaign = attack(zoo, naive, pricing=BySpec(0.1, 0.0))
    assert len(campaign.notes.items) == 10
    rows = zoo.model_rows[record.variant]
    for place, item in enumerate(campaign.notes.items):
        served = rows[40 * place : 40 * place + 40]
        assert (record.item[40 * place : 40 * place + 40] == item).all()
        assert campaign.notes.answers[place] == pytest.approx(zoo.answers.probabilities[served, item].mean(0), abs=1e-6)


def test_filtering_keeps_what_all_copies_agree_on():
    zoo = blobs_zoo()
    naive = NaiveExtraction(budget=Budget(300), manner=(Retry(), Filtering(copies=3)))
    _, record, campaign = attack(zoo, naive)
    tops = zoo.answers.top_labels()[zoo.model_rows[record.variant], record.item].reshape(-1, 3)
    agreed = (tops == tops[:, :1]).all(axis=1)
    assert 0 < agreed.sum() < 100
    assert campaign.notes.items == record.item[::3][agreed].tolist()


def test_cover_takes_its_share_and_is_not_learnt_from():
    zoo = blobs_zoo()
    fields = {"source": "near", "manner": (Retry(), Cover(share=0.6))}
    attacking = FingerprintThenExtract(budget=Budget(2000), fingerprint_share=0.5, **fields)
    judged, record, campaign = attack(zoo, attacking)
    extracting = judged.phases[1]
    items = record.item[extracting.first_query :]
    cover = np.isin(items, zoo.answers.data.pool)
    error = math.sqrt(0.6 * 0.4 / len(items))
    assert cover.mean() == pytest.approx(0.6, abs=4 * error)
    assert set(campaign.notes.items) <= set(zoo.answers.data.pools["near"].tolist())
    assert judged.extraction.purity == 1.0
    assert (record.min_accuracy[extracting.first_query :][cover] < campaign.notes.chosen.min_accuracy).all()


def test_an_attack_gives_up_when_answers_are_too_dear():
    prices = {"pricing": BySpec(0.1, 0.0)}
    judged, *_ = attack(blobs_zoo(), oracle(500, manner=(Retry(), GiveUp(dollars=0.05, window=20))), **prices)
    assert len(judged.queries) == 20
    judged, *_ = attack(blobs_zoo(), oracle(500, manner=(Retry(), GiveUp(dollars=0.2, window=20))), **prices)
    assert len(judged.queries) == 500


EVERY = [
    RandomQueries(),
    KnockoffAdaptive(kinds=3, architecture="linear"),
    Active(KCentre(), rounds=2, recipe=RECIPE),
    JacobianAugmentation(seeds=5, recipe=RECIPE),
    DisGuide(batch=8, architecture="linear"),
    DataFreeExtraction(batch=8, architecture="linear"),
    SolveLinear(),
]
MANNERS = [Retry(), Retry(2), Pacing(0.01), Averaging(2), Filtering(2), Cover(0.5), GiveUp(0.01, 10)]


@given(
    most=st.integers(0, 60),
    strategy=st.sampled_from(EVERY),
    manner=st.lists(st.sampled_from(MANNERS), max_size=3).map(tuple),
    accounts=st.integers(1, 4),
    parallel=st.integers(1, 9),
    crashing=st.booleans(),
)
def test_no_attack_spends_a_query_more_than_its_budget(most, strategy, manner, accounts, *, parallel, crashing):
    zoo = blobs_zoo()
    faults = {"crash": Crash(mtbf_s=0.05, mttr_s=0.02)} if crashing else None
    adversary = OracleExtraction(
        budget=Budget(most), strategy=strategy, manner=manner, parallel=parallel, sybils=Sybils(accounts)
    )
    built = cluster(
        zoo, queries([]), 1, most + 50, faults=faults, admission=TokenBucket(rate=200.0, burst=5), retries=2
    )
    campaign = Campaign("thief", adversary, 7, zoo, 1)
    campaign.launch(built)
    built.env.run(until=3.0)
    record = built.record(attackers=dict.fromkeys(campaign.accounts, "thief"))
    assert len(record.sent_s) <= most
    assert np.bincount(record.outcome, minlength=len(OUTCOMES)).sum() == len(record.sent_s)
    assert len(campaign.notes.items) <= most


def reverse_sigmoid(answers, beta=0.9, gamma=0.2):
    odds = np.clip(answers, 1e-6, 1 - 1e-6)
    bent = answers - beta * (1 / (1 + np.exp(-gamma * np.log(odds / (1 - odds)))) - 0.5)
    return (bent / bent.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("perturb", [reverse_sigmoid, lambda p: np.round(p, 1).astype(np.float32)], ids=["rs", "round"])
def test_a_known_map_is_undone(perturb):
    table = blobs_zoo().answers
    exact = table.probabilities[3, table.data.test]
    given = perturb(exact)
    back = recovered(given, perturb, np.random.default_rng(1))
    assert back.sum(axis=1) == pytest.approx(1, abs=1e-5)
    before, after = np.abs(given - exact).sum(axis=1).mean(), np.abs(back - exact).sum(axis=1).mean()
    assert after < before if perturb is not reverse_sigmoid else after < before / 3
    with pytest.raises(ValueError, match="neighbours must be at least 1 and at most samples, not 20 of 10"):
        recovered(given, perturb, np.random.default_rng(1), 10, 20)


# --- truth ------------------------------------------------------------------------------------------------------------

LEARNERS = [strategy for strategy in EVERY if not isinstance(strategy, SolveLinear)]


@pytest.mark.parametrize("strategy", LEARNERS, ids=repr)
def test_no_strategy_touches_the_truth(strategy: Strategy):
    """With every label garbage, and the judge's zoo another one, the attack asks and learns the very same."""
    seen = []
    for garbage in (False, True):
        zoo = blobs_zoo()
        if garbage:
            labels = np.random.default_rng(9).integers(0, 3, len(zoo.answers.data.labels))
            data = dataclasses.replace(zoo.answers.data, labels=labels, train=np.arange(3), test=np.arange(5))
            zoo = dataclasses.replace(zoo, answers=dataclasses.replace(zoo.answers, data=data))
        adversary = FingerprintThenExtract(budget=Budget(160), strategy=strategy, parallel=4)
        built = cluster(zoo, queries([]), closed_loop=160)
        campaign = Campaign("thief", adversary, 7, zoo, 1)
        campaign.launch(built)
        campaign.zoo = zoo.where(lambda v: v.model == "linear1") if garbage else zoo
        built.env.run(until=60)
        record = built.record(attackers={7: "thief"})
        seen.append((record, campaign.notes))
    for column in ("sent_s", "item", "min_accuracy", "max_latency_s", "outcome"):
        assert np.array_equal(getattr(seen[0][0], column), getattr(seen[1][0], column))
    assert np.array_equal(np.array(seen[0][1].answers), np.array(seen[1][1].answers))


# --- what a clone is worth --------------------------------------------------------------------------------------------


def test_every_metric_of_a_clone_by_hand():
    zoo = example_zoo()
    table, test = zoo.answers, zoo.answers.data.test
    judge = Judge(table, 4, {4: 0.75, 1: 0.25}, 0.1)
    said = np.full((len(test), 4), 0.1, np.float32)
    said[np.arange(len(test)), table.top_labels()[2, test]] = 0.7
    quality = judge.quality(lambda _: said, 30, 44)
    tops = table.top_labels()[:, test]
    agreement = (tops[2] == tops).mean(axis=1)
    assert quality.fidelities == pytest.approx(dict(zip(table.models, agreement.tolist(), strict=True)))
    assert quality.fidelity == agreement[4]
    assert quality.service_fidelity == pytest.approx(0.75 * agreement[4] + 0.25 * agreement[1])
    assert quality.accuracy == (tops[2] == table.data.labels[test]).mean()
    assert (quality.labels, quality.queries) == (30, 44)
    # The target's answers are one-hot: -log(.7) where the labels agree, -log(.1) where not.
    same = tops[2] == tops[4]
    assert quality.kl_nats == pytest.approx(np.where(same, -math.log(0.7), -math.log(0.1)).mean(), abs=1e-6)
    assert quality.l1 == pytest.approx(np.where(same, 0.6, 1.8).mean(), abs=1e-6)


def test_a_copy_of_the_target_transfers_whatever_works_on_itself():
    zoo = builtin_zoo("digits")
    row = zoo.answers.models.index("cnn16")
    judge = Judge(zoo.answers, row, {}, 0.2)
    copy = zoo.answers.networks.network(row)
    perfect = judge.quality(lambda x: networks.probabilities(copy, x), 1, 1)
    assert perfect.fidelity == perfect.relative_accuracy == 1.0
    assert perfect.service_fidelity is None
    assert perfect.kl_nats == pytest.approx(0, abs=1e-6)
    transfer, robust = judge.adversarial(copy)
    assert transfer > 0.5
    right = zoo.answers.accuracy(row)
    assert robust == pytest.approx(right * (1 - transfer), abs=0.03)
    other, _ = judge.adversarial(zoo.answers.networks.network(0))
    assert other < transfer
    assert judge.adversarial(lambda x: x) == (None, None)


def test_checkpoints_are_trained_on_the_first_answers():
    zoo = digits()
    recipe = CloneRecipe("mlp16", "soft", 20, checkpoints=(20, 60, 500))
    judged, *_ = attack(zoo, oracle(150), recipe)
    found = judged.extraction
    assert [c.labels for c in found.checkpoints] == [20, 60]
    assert [c.queries for c in found.checkpoints] == [20, 60]
    assert found.clone.labels == found.labels == 150
    assert found.checkpoints[0].fidelity < found.clone.fidelity
    alone, *_ = attack(zoo, oracle(60), CloneRecipe("mlp16", "soft", 20))
    assert alone.extraction.clone == found.checkpoints[1]
    assert found.queries_to(1e-9) == 20
    assert found.queries_to(1.0) in {20, 60, 150}


def test_answers_are_counted_by_the_model_that_gave_them():
    zoo = blobs_zoo()
    judged, record, _ = attack(zoo, NaiveExtraction(budget=Budget(200)))
    counts = judged.extraction.answered_by
    assert sum(counts.values()) == 200
    models = np.array(zoo.answers.models)[zoo.model_rows[record.variant]]
    assert counts == {name: int((models == name).sum()) for name in sorted(set(models.tolist()))}
    assert judged.extraction.purity == counts[judged.extraction.target] / 200


def test_mixmatch_learns_from_items_without_labels():
    from adversaries.extraction.clone_training import mixmatch, supervised

    zoo = builtin_zoo("digits")
    data, row = zoo.answers.data, zoo.answers.models.index("cnn16")
    gains = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        items = rng.permutation(data.pool)[:30]
        given = data.inputs[items], zoo.answers.probabilities[row, items]
        recipe = CloneRecipe("mlp32", "hard", 40, "mixmatch", 300)
        top = zoo.answers.top_labels()[row, data.test]
        fidelity = [
            (networks.probabilities(clone, data.inputs[data.test]).argmax(axis=1) == top).mean()
            for clone in (
                mixmatch(*given, data.inputs[np.setdiff1d(data.pool, items)], recipe, rng),
                supervised(*given, recipe, rng),
            )
        ]
        gains.append(fidelity[0] - fidelity[1])
    mean, error = np.mean(gains), np.std(gains, ddof=1) / math.sqrt(5)
    assert mean - 2.776 * error > 0


def test_guesses_count_more_and_more():
    import torch

    from adversaries.extraction.clone_training import _mixmatch_loss

    network = networks.build("linear", (8,), 3, 1)
    x, u = torch.randn(2, 30, 8, generator=torch.Generator().manual_seed(1))
    y = torch.eye(3)[torch.arange(30) % 3]
    start, middle, end = (
        float(_mixmatch_loss(network, (x, y, u), done, np.random.default_rng(1)).detach()) for done in (0.0, 0.5, 1.0)
    )
    assert start < middle < end
    assert end - middle == pytest.approx(middle - start, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KnockoffAdaptive(kinds=1), "kinds must be at least 2, not 1"),
        (lambda: KnockoffAdaptive(batch=0), "batch must be at least 1"),
        (lambda: KnockoffAdaptive(rate=0.0), "rate must be above 0"),
        (lambda: Active(rounds=0), "rounds must be at least 1"),
        (lambda: Active(start_share=1.0), "start_share must be in"),
        (lambda: Active(candidates=-1), "candidates must be at least 0"),
        (lambda: Active(train_s_per_answer=-1.0), "train_s_per_answer must be at least 0"),
        (lambda: JacobianAugmentation(seeds=0), "seeds must be at least 1"),
        (lambda: JacobianAugmentation(step=2.0), "step must be in"),
        (lambda: JacobianAugmentation(reservoir_after=-1), "reservoir_after must be at least 0"),
        (lambda: JacobianAugmentation(train_s_per_answer=-1.0), "train_s_per_answer must be at least 0"),
        (lambda: DisGuide(batch=1), "batch must be at least 2"),
        (lambda: DisGuide(diversity=-1.0), "diversity must be at least 0"),
        (lambda: DisGuide(student_rate=0.0), "student_rate must be above 0"),
        (lambda: DisGuide(train_s_per_step=-1.0), "train_s_per_step must be at least 0"),
        (lambda: DataFreeExtraction(directions=0), "directions must be at least 1"),
        (lambda: DataFreeExtraction(length=0.0), "length must be in"),
        (lambda: SolveLinear(0.0), "step must be above 0"),
        (lambda: LineSearch(precision=2.0), "precision must be above 0 and below step"),
        (lambda: Retry(-1), "tries must be at least 0"),
        (lambda: Pacing(-1.0), "gap_s must be at least 0"),
        (lambda: Pacing(open_s=0.0), "open_s must be above 0"),
        (lambda: Pacing(every_s=0.5), "every_s must be 0, or at least open_s"),
        (lambda: Averaging(1), "copies must be at least 2"),
        (lambda: Filtering(1), "copies must be at least 2"),
        (lambda: Filtering(agreement=0.0), "agreement must be in"),
        (lambda: Cover(1.0), "share must be in"),
        (lambda: GiveUp(0.0), "dollars must be above 0"),
        (lambda: GiveUp(window=0), "window must be at least 1"),
        (lambda: oracle(parallel=0), "parallel must be at least 1"),
        (lambda: CloneRecipe(steps=0), "steps must be at least 1"),
        (lambda: CloneRecipe(checkpoints=(3, 0)), "checkpoints must be at least 1"),
        (lambda: CloneRecipe(epsilon=0.0), "epsilon must be above 0"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()
