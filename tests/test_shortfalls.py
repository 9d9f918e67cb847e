"""What of an attack was not as it was asked for is in its notes: sources, budgets, fallbacks, checkpoints, clones."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from conftest import cluster, queries

import adversaries
from adversaries import (
    Active,
    BackdoorUser,
    BestUnderBound,
    Budget,
    Campaign,
    CloneRecipe,
    DataFreeExtraction,
    FingerprintOnly,
    FingerprintThenExtract,
    GiveUp,
    JacobianAugmentation,
    KnockoffAdaptive,
    LeastPrivacyCost,
    NaiveExtraction,
    OracleExtraction,
    OutputFingerprint,
    ProbeStream,
    RandomQueries,
    Retry,
    SolveLinear,
    Strategy,
    TimingFingerprint,
    Watch,
    judge,
)
from adversaries.extraction.strategies import clustered
from analysis import summarize
from experiments import load, run
from experiments.conformance.example import example_run, example_zoo
from policies import TokenBucket

POOL = set(example_zoo().answers.data.pool.tolist())
RECIPE = CloneRecipe("mlp4", epochs=1)
STRATEGIES = [
    part
    for part in (getattr(adversaries, name) for name in adversaries.__all__)
    if isinstance(part, type) and issubclass(part, Strategy) and hasattr(part, "kind")
]


def notes_of(adversary, recipe=RECIPE, classes=4, **policies):
    record, campaign = example_run(adversary, classes, **policies)
    return judge(campaign, record, recipe).notes


def asked(queries_=100, **fields):
    return OracleExtraction(budget=Budget(queries_), **fields)


@dataclass(frozen=True)
class InOrder(Strategy):
    """A strategy of somebody else's: it knows nothing of notes."""

    kind = "in-order"

    def collect(self, oracle, rng):
        while True:
            yield from oracle.query(oracle.pool.tolist())


@pytest.mark.parametrize("strategy", [*STRATEGIES, InOrder])
def test_every_strategy_says_when_its_source_is_smaller_than_its_budget(strategy):
    classes = 2 if strategy is adversaries.LineSearch else 4
    notes = notes_of(asked(100, strategy=strategy(), parallel=4), classes=classes)
    (line,) = (note for note in notes if "source 'in-distribution' has 40 items for a budget of 100 queries" in note)
    record, campaign = example_run(asked(100, strategy=strategy(), parallel=4), classes)
    of_pool = set(record.item[record.account == 1].tolist()) & POOL
    items = campaign.notes.items
    assert ("used up" in line) == (of_pool == POOL)
    assert ("makes its own" in line) == (not of_pool)
    assert ("answered before" in line) == (len(set(items)) < len(items))
    assert judge(campaign, record, RECIPE).extraction.repeats == len(items) - len(set(items))


@pytest.mark.parametrize("strategy", [RandomQueries(), Active(rounds=2), KnockoffAdaptive(kinds=2, batch=2)])
def test_a_source_that_lasts_is_not_spoken_of(strategy):
    notes = notes_of(asked(12, strategy=strategy))
    assert not any("source" in note or "answered before" in note for note in notes), notes
    if strategy == RandomQueries():
        assert notes == ()


def test_repeats_are_said_without_a_small_source_too():
    # One kind is asked for again and again before the others are used up.
    record, campaign = example_run(asked(39, strategy=KnockoffAdaptive(kinds=12, batch=13)))
    items = campaign.notes.items
    assert len(set(items)) < len(items)
    assert "some answers are to items that were answered before" in judge(campaign, record, RECIPE).notes


# --- how it ended -----------------------------------------------------------------------------------------------------


def campaign_until(adversary, until_s, closes_s=np.inf):
    zoo = example_zoo()
    built = cluster(zoo, queries([]), closed_loop=adversary.budget.queries)
    built.closes_s = closes_s
    campaign = Campaign("thief", adversary, 7, zoo, 1)
    campaign.launch(built)
    built.env.run(until=until_s)
    return judge(campaign, built.record(attackers={7: "thief"}), RECIPE)


SPENT = "its budget of 1,000 queries was spent"


@pytest.mark.parametrize(
    "adversary",
    [
        OracleExtraction(),
        FingerprintOnly(start_s=0.09),
        TimingFingerprint(start_s=0.09),
        OutputFingerprint(start_s=0.09),
        Watch(),
        ProbeStream(),
        BackdoorUser(),
        OracleExtraction(start_s=1e6),
    ],
)
def test_a_budget_that_the_run_cuts_short_is_said(adversary):
    judged = campaign_until(adversary, until_s=0.1)
    assert len(judged.queries) < 1000
    assert f"the run ended before {SPENT}" in judged.notes


def test_a_service_that_closes_is_said():
    judged = campaign_until(OracleExtraction(), until_s=5.0, closes_s=0.1)
    assert f"the service took no more queries before {SPENT}" in judged.notes
    never = campaign_until(OracleExtraction(start_s=0.2), until_s=5.0, closes_s=0.1)
    assert f"the service took no more queries before {SPENT}" in never.notes
    assert "no answer was collected: there is no clone" in never.notes


def test_an_attack_that_ends_by_itself_is_said():
    judged = campaign_until(OracleExtraction(strategy=SolveLinear()), until_s=50.0)
    assert len(judged.queries) == 17
    assert f"the attack was over before {SPENT}" in judged.notes
    fewer = campaign_until(OracleExtraction(strategy=SolveLinear(), budget=Budget(16)), until_s=50.0)
    assert "fewer than the 17 answers that solving for the weights takes" in fewer.notes
    # A fingerprint is over when it is done.
    assert campaign_until(FingerprintOnly(), until_s=50.0).notes == ()


def test_a_fingerprint_without_the_budget_for_it_is_said():
    assert campaign_until(FingerprintOnly(budget=Budget(5)), 50.0).notes == (
        "the budget ended the fingerprint before it was done",
    )
    for adversary in (FingerprintThenExtract(budget=Budget(30)), BackdoorUser(budget=Budget(30))):
        notes = campaign_until(adversary, 50.0).notes
        assert "its share of the budget ended the fingerprint before it was done" in notes


def test_an_attacker_who_gives_up_says_so():
    notes = campaign_until(OracleExtraction(manner=(GiveUp(dollars=1e-9, window=5),)), 50.0).notes
    assert "gave up: answers cost more than 1e-09 dollars each" in notes


# --- what took the place of what was asked ----------------------------------------------------------------------------


def test_a_fingerprint_that_finds_nothing_falls_back_and_says_so():
    notes = notes_of(FingerprintThenExtract(budget=Budget(60), fingerprint_share=0.05))
    assert "the fingerprint found no model: any model within latency_bound_s was asked for" in notes
    far = FingerprintThenExtract(budget=Budget(300), search=BestUnderBound(), latency_bound_s=1e-4)
    notes = notes_of(far)
    assert (
        "the fingerprint found no model within latency_bound_s: any model within latency_bound_s was asked for" in notes
    )
    assert "no model of the front is within latency_bound_s: the target is the fastest" in notes
    none = BackdoorUser(budget=Budget(60), fingerprint_share=0.01)
    assert "the fingerprint found no model: any model within latency_bound_s was asked for" in notes_of(none)


def test_a_target_that_is_in_reach_is_not_spoken_of():
    notes = notes_of(NaiveExtraction(budget=Budget(10), latency_bound_s=0.006))
    assert not any("latency_bound_s" in note for note in notes)


@pytest.mark.parametrize(
    ("strategy", "line"),
    [
        (JacobianAugmentation(seeds=150), "the source has 40 items, not the 150 seeds asked for"),
        (KnockoffAdaptive(kinds=50), "the items of the source make fewer kinds than the 50 asked for"),
        (Active(rounds=2, start_share=0.9), "no item was left to choose: from then on a round is random"),
        (Active(LeastPrivacyCost(voters=6), start_share=0.04), "there were fewer answers than the 6 voters asked for"),
        (
            DataFreeExtraction(batch=30, student_steps=1),
            "some steps of the generator were left out, since answers to them are missing",
        ),
    ],
)
def test_a_strategy_says_what_it_did_not_do(strategy, line):
    assert line in notes_of(asked(100, strategy=strategy))


def test_kinds_are_at_most_as_many_as_different_items():
    rng = np.random.default_rng(1)
    three = np.repeat(np.eye(3, 4, dtype=np.float32), 5, axis=0)
    assert len(np.unique(clustered(three, 10, rng))) == 3


@pytest.mark.parametrize("adversary", [TimingFingerprint(), OutputFingerprint()])
def test_probes_that_were_not_answered_are_said(adversary):
    limited = replace(adversary, budget=Budget(200))
    notes = notes_of(limited, admission=TokenBucket(5.0, 3.0))
    assert "some probes were not answered, and were not asked again" in notes
    none = notes_of(TimingFingerprint(budget=Budget(200)), admission=TokenBucket(1e-3, 1.0))
    assert "no probe of a level was answered: it was taken for one that no model meets" in none


def test_more_probe_items_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"items must be at most those of the pool \(40\), not 41"):
        OutputFingerprint(items=41).check_zoo(example_zoo())


def test_triggered_items_that_do_not_suffice_are_said():
    notes = notes_of(BackdoorUser(budget=Budget(200), trials=60))
    assert "there are 40 triggered items for 200 queries: some are sent again" in notes
    assert "there are 40 triggered items, fewer than the 60 of a trial" in notes


# --- the clone --------------------------------------------------------------------------------------------------------

BOTH = [replace(RECIPE, learner=learner, steps=5) for learner in ("supervised", "mixmatch")]


def test_mixmatch_without_unlabelled_items_says_that_it_is_supervised():
    line = "MixMatch had no item left without a label: the clone learns as the supervised one does"
    adversary = asked(100)
    record, campaign = example_run(adversary)
    supervised, mixmatch = (judge(campaign, record, recipe) for recipe in BOTH)
    assert supervised.extraction == mixmatch.extraction
    assert line in mixmatch.notes
    record, campaign = example_run(asked(20))
    assert not any("MixMatch" in note for note in judge(campaign, record, BOTH[1]).notes)
    supervised_first = example_run(adversary)[1]
    assert line not in judge(supervised_first, record, BOTH[0]).notes


def test_checkpoints_beyond_the_labels_are_said():
    recipe = replace(RECIPE, checkpoints=(5, 20, 30, 1000))
    assert "too few answers for the checkpoints at 30, 1,000 labels" in notes_of(asked(20), recipe)
    assert not any("checkpoints" in note for note in notes_of(asked(30), replace(recipe, checkpoints=(5, 30))))


def test_no_answers_no_clone_is_said():
    notes = notes_of(NaiveExtraction(budget=Budget(10), latency_bound_s=1e-6, manner=(Retry(1),)))
    assert "no answer was collected: there is no clone" in notes


# --- every output -----------------------------------------------------------------------------------------------------


def test_a_run_says_of_its_attack_what_was_not_as_asked():
    quick = {"run.duration_s": 60.0, "run.warmup_s": 0.0, "workload.load": 0.05, "clone.learner": "mixmatch"}
    scenario = load("quickstart", {**quick, "clone.steps": 2, "adversary.thief.budget.queries": 1500})
    summary = run(scenario).summary
    (thief,) = summary.attacks
    assert any("items for a budget of 1,500 queries" in note for note in thief.notes)
    assert {f"thief: {note}" for note in thief.notes} <= set(summary.notes)


def test_what_an_attack_says_does_not_depend_on_how_often_it_is_judged():
    record, campaign = example_run(asked(100))
    assert judge(campaign, record, BOTH[1]).notes == judge(campaign, record, BOTH[1]).notes
    attack = judge(campaign, record, BOTH[1])
    assert summarize(record, [attack], "s", 1).attacks[0].notes == attack.notes
