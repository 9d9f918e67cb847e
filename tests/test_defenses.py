"""Defenses: each by hand, through the whole path of a query, and what it takes there."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from conftest import cluster, one_variant, operator, queries

from analysis import summarize
from analysis.metrics import measured
from analysis.report import run_tables
from analysis.study import Cell, columns
from experiments import load, run
from experiments.conformance.example import example_run, example_zoo
from policies import (
    Greedy,
    JoinShortestQueue,
    LabelOnly,
    LatencyPadding,
    MajorityEnsemble,
    NearDuplicates,
    QueryBudget,
    RateLimit,
    Rounding,
    TokenBucket,
    TopK,
)
from sim import (
    OUTCOMES,
    Charge,
    Cluster,
    Crash,
    Defense,
    DefenseRecord,
    FrontendRestart,
    Link,
    Mark,
    Network,
    Spec,
    WorkerGroup,
    deploy,
)
from sim.contracts import Misfit
from sim.engine.clock import Simulation
from sim.fleet.cpu import Cpu
from zoo import LatencyProfile

PROFILE = LatencyProfile((1, 2), (1.0, 1.5))


def outcomes(record):
    return [OUTCOMES[code] for code in record.outcome]


def finished(zoo, arrivals, *defenses, workers=1, until_s=None, **settings):
    """Run with defenses in order, named a, b, c, ..."""
    named = dict(zip("abcdefgh", defenses, strict=False))
    built = cluster(zoo, arrivals, workers, defenses=named, **settings)
    if until_s is None:
        built.settle()
    else:
        built.env.run(until=until_s)
    return built.record()


def of_items(sent_s, items, **facts):
    return replace(queries(sent_s, **facts), item=np.asarray(items, np.int32))


# --- answers ----------------------------------------------------------------------------------------------------------

ANSWERS = np.array([[0.5, 0.3, 0.15, 0.05], [0.24, 0.26, 0.26, 0.24], [0.0, 1.0, 0.0, 0.0]], dtype=np.float32)


def received(defense, answers=ANSWERS):
    return deploy(defense, example_zoo()).transform[0].function(answers)


def test_rounding_by_hand():
    assert received(Rounding(1)) == pytest.approx(
        np.array([[0.5 / 1.0, 0.3, 0.2, 0.0], [0.2 / 1.0, 0.3, 0.3, 0.2], [0, 1, 0, 0]]), abs=1e-6
    )
    # To no decimals the first has .5, which rounds to the even 0, and nothing is left of it: the uniform vector.
    assert received(Rounding(0)) == pytest.approx(np.array([[0.25] * 4, [0.25] * 4, [0, 1, 0, 0]]))
    assert deploy(Rounding(8), example_zoo()).transform == []
    third = np.full((1, 3), 1 / 3, dtype=np.float32)
    assert received(Rounding(2), third) == pytest.approx(third, abs=1e-6)  # .33 each, and divided by their sum


def test_top_k_by_hand():
    assert received(TopK(2)) == pytest.approx(np.array([[0.625, 0.375, 0, 0], [0, 0.5, 0.5, 0], [0, 1, 0, 0]]))
    assert received(TopK(1)).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    assert len(deploy(TopK(3), example_zoo()).transform) == 1
    assert deploy(TopK(4), example_zoo()).transform == []


def test_label_only_by_hand():
    assert received(LabelOnly()).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("defense", [Rounding(1), Rounding(2), TopK(1), TopK(3), LabelOnly()], ids=repr)
def test_answers_stay_probabilities_and_a_block_is_its_answers_one_by_one(defense):
    answers = np.random.default_rng(0).dirichlet(np.full(4, 0.5), 500).astype(np.float32)
    given = answers.copy()
    block = received(defense, answers)
    assert np.array_equal(answers, given)
    assert block.dtype == np.float32
    assert (block >= 0).all()
    assert block.sum(axis=1) == pytest.approx(np.ones(500), abs=1e-6)
    assert np.array_equal(block, np.concatenate([received(defense, one[None]) for one in answers]))


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_budget_is_each_accounts_or_everybodys():
    arrivals = queries(np.arange(6.0), account=[0, 0, 1, 0, 1, 0])
    own = finished(one_variant(0.1), arrivals, QueryBudget(2, cpu_s=0))
    assert outcomes(own) == ["answered", "answered", "answered", "throttled", "answered", "throttled"]
    assert own.defenses[0].refused == {0: 2}
    together = finished(one_variant(0.1), arrivals, QueryBudget(4, "all", cpu_s=0))
    assert outcomes(together) == ["answered"] * 4 + ["throttled"] * 2
    assert together.defenses[0].refused == {1: 1, 0: 1}


def test_limits_count_what_no_variant_meets():
    arrivals = queries(np.arange(5.0), accuracy=[0.99, 0.99, 0.0, 0.99, 0.0])
    for limit in (QueryBudget(3, cpu_s=0), RateLimit(1e-9, 3, cpu_s=0)):
        assert outcomes(finished(one_variant(0.1), arrivals, limit)) == [
            *["infeasible"] * 2,
            "answered",
            *["throttled"] * 2,
        ]


@pytest.mark.parametrize("per", ["account", "all"])
def test_a_rate_limit_is_the_token_bucket_of_admission(per):
    rng = np.random.default_rng(4)
    account = rng.integers(0, 5, 400)
    arrivals = queries(np.sort(rng.uniform(0, 20, 400)), account=account if per == "account" else 0)
    by_load = finished(one_variant(1e-3), arrivals, admission=TokenBucket(2.5, 3.0))
    limited = finished(one_variant(1e-3), replace(arrivals, account=account), RateLimit(2.5, 3.0, per, cpu_s=0))
    assert outcomes(limited) == outcomes(by_load)
    assert 50 < outcomes(limited).count("throttled") < 350


def test_who_keeps_to_his_rate_is_never_throttled():
    arrivals = queries(np.round(np.arange(3000) * 0.1, 1))
    assert set(outcomes(finished(one_variant(1e-3), arrivals, RateLimit(10.0, 1.0, cpu_s=0)))) == {"answered"}


# --- padding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("padding", "delivered_s"),
    [
        # Two queries on one machine, served until 1 and 2, and one that no variant meets.
        (LatencyPadding(1.5, 0.0, cpu_s=0), [1.5, 2.0, 1.5]),
        (LatencyPadding(0.0, 0.8, cpu_s=0), [1.6, 2.4, 0.8]),
        (LatencyPadding(0.0, 0.5, cpu_s=0), [1.0, 2.0, 0.5]),
        (LatencyPadding(1.5, 0.8, cpu_s=0), [1.5, 2.4, 1.5]),
        (LatencyPadding(0.0, 0.8, cpu_s=0.2), [1.6, 2.4, 0.8]),
    ],
)
def test_padding_by_hand_refusals_too(padding, delivered_s):
    arrivals = queries([0.0, 0.0, 0.0], accuracy=[0.0, 0.0, 0.99])
    record = finished(one_variant(), arrivals, padding)
    assert outcomes(record) == ["answered", "answered", "infeasible"]
    assert record.delivered_s == pytest.approx(delivered_s)
    assert record.finished_s[:2].tolist() == [1.0, 2.0]


def test_what_is_throttled_and_shed_is_padded_too():
    arrivals = queries([0.0, 0.1, 0.2])
    limited = finished(one_variant(), arrivals, QueryBudget(1, cpu_s=0), LatencyPadding(3.0, 0.0, cpu_s=0))
    assert outcomes(limited) == ["answered", "throttled", "throttled"]
    assert limited.delivered_s == pytest.approx([3.0, 3.1, 3.2])
    bucket = finished(one_variant(), arrivals, LatencyPadding(3.0, 0.0, cpu_s=0), admission=TokenBucket(1e-6, 1))
    assert outcomes(bucket) == outcomes(limited)
    assert bucket.delivered_s == pytest.approx([3.0, 3.1, 3.2])


def test_a_padded_refusal_is_delivered_though_something_goes_on_for_ever():
    """A worker that fails by chance: the run ends when all is delivered, and not before."""
    fault = {"far": Crash(mtbf_s=1e9, mttr_s=1.0)}
    record = finished(one_variant(0.1), queries([0.0], accuracy=0.99), LatencyPadding(7.3, 0.0, cpu_s=0), faults=fault)
    assert record.delivered_s == pytest.approx([7.3])


def test_what_ends_on_a_multiple_has_it():
    """.1 + .2 is a unit in the last place above .3, and no reason to wait for .4."""
    padding_s = deploy(LatencyPadding(0.0, 0.1), example_zoo()).release[0].function
    assert padding_s(0.1 + 0.2) == 0.0
    assert padding_s(0.3001) == pytest.approx(0.0999)


# --- near duplicates --------------------------------------------------------------------------------------------------

ZOO = example_zoo()
NEAR = NearDuplicates(distance=0.1, count=3, cpu_s=0, cpu_per_value_s=0)


def test_near_inputs_are_counted_by_account_and_reject_it_from_then_on():
    items = [40, 40, 41, 40, 40, 41, 42, 40]
    record = finished(ZOO, of_items(np.arange(8.0), items, account=[0, 0, 0, 0, 1, 0, 0, 1]), NEAR)
    # Account 0: the second and the fourth are near, then the sixth, on whose answer it is flagged.
    assert outcomes(record) == [*["answered"] * 6, "rejected", "answered"]
    (defense,) = record.defenses
    assert defense.flags == {0: record.delivered_s[5]}
    assert defense.refused == {0: 1}
    assert defense.detects


def test_distances_are_euclidean():
    inputs = ZOO.answers.data.inputs.copy()
    inputs[41] = inputs[40]
    inputs[41].flat[:4] += 0.25  # sqrt(4 * .25 ** 2) = .5 apart
    data = replace(ZOO.answers.data, inputs=inputs)
    zoo = replace(ZOO, answers=replace(ZOO.answers, data=data))
    arrivals = of_items(np.arange(3.0), [40, 41, 40])
    near, far = (replace(NEAR, distance=distance, count=1) for distance in (0.501, 0.499))
    assert finished(zoo, arrivals, near).defenses[0].flags[0] < 2.0
    assert finished(zoo, arrivals, far).defenses[0].flags[0] > 2.0  # 40 again


def test_memory_is_bounded_and_the_last_inputs_stay():
    once = replace(NEAR, count=1)
    arrivals = of_items(np.arange(4.0), [40, 41, 42, 40])
    assert len(finished(ZOO, arrivals, replace(once, most_seen=3)).defenses[0].flags) == 1
    assert len(finished(ZOO, arrivals, replace(once, most_seen=2)).defenses[0].flags) == 0
    hooks = deploy(replace(NEAR, count=10**6, most_seen=40), ZOO)
    for item in range(100):
        hooks.observe[0].function(0, ZOO.answers.data.inputs[item])
    assert hooks.deployed["defense"].of(0).inputs.shape == (40, 16)


def test_infeasible_queries_are_compared_and_noise_is_not():
    arrivals = of_items(np.arange(5.0), [40, 40, 40, 40, 40], accuracy=0.99)
    assert outcomes(finished(ZOO, arrivals, NEAR)) == [*["infeasible"] * 4, "rejected"]
    noise = of_items(np.arange(5.0), [-1] * 5)
    assert outcomes(finished(ZOO, noise, NEAR)) == ["answered"] * 5


def test_a_flag_alone_turns_nobody_away():
    arrivals = of_items(np.arange(6.0), [40] * 6)
    record = finished(ZOO, arrivals, replace(NEAR, action="flag"))
    assert outcomes(record) == ["answered"] * 6
    assert list(record.defenses[0].flags) == [0]
    assert record.defenses[0].refused == {}


def test_what_is_under_way_when_a_flag_rises_is_answered():
    """The third near input is answered at once and looked at 2 s later; what comes until then is let in."""
    arrivals = of_items([0.0, 0.0, 0.0, 0.0, 1.0, 1.9, 2.1], [40] * 7)
    record = finished(ZOO, arrivals, replace(NEAR, lag_s=2.0), workers=4)
    flagged_s = record.defenses[0].flags[0]
    assert flagged_s == pytest.approx(record.delivered_s[:4].max() + 2.0)
    assert outcomes(record) == [*["answered"] * 6, "rejected"]


def test_comparing_takes_time_by_the_history():
    arrivals = of_items(np.arange(5.0), [40, 41, 42, 43, 44])
    defense = replace(NEAR, cpu_s=0.01, cpu_per_value_s=1e-3, most_seen=3)
    (record,) = finished(ZOO, arrivals, defense).defenses
    assert record.cpu_s == pytest.approx(5 * 0.01 + 1e-3 * 16 * (0 + 1 + 2 + 3 + 3))


def test_a_zoo_without_a_data_set_is_refused():
    with pytest.raises(Misfit, match="kind near-duplicates compares inputs") as refused:
        finished(one_variant(), queries([0.0]), NEAR)
    assert refused.value.place == ("defense", "a", "kind")


# --- what hooks take --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Costly(Defense):
    """Take some time at some hook, and do nothing."""

    kind = "costly"
    hook: str = "admit"
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    gpu_batch_s: float = 0.0
    client_s: float = 0.0

    def charges(self):
        return {self.hook: Charge(self.cpu_s, self.gpu_s, self.gpu_batch_s, self.client_s)}

    def admit(self, deployment):
        return (lambda: None) if self.hook == "admit" else None

    def rewrite(self, deployment):
        return (lambda min_accuracy, max_latency_s: (min_accuracy, max_latency_s)) if self.hook == "rewrite" else None

    def transform(self, deployment):
        return (lambda answers: answers) if self.hook == "transform" else None

    def release(self, deployment):
        return (lambda: 0.0) if self.hook == "release" else None

    def observe(self, deployment):
        return (lambda: None) if self.hook == "observe" else None


AT_ONCE = queries([0.0] * 4, account=[0, 1, 0, 1])


@pytest.mark.parametrize("hook", ["admit", "rewrite"])
@pytest.mark.parametrize(
    ("cores", "frontends", "started_s"),
    [(1, 1, [1, 2, 3, 4]), (2, 1, [1, 1, 2, 2]), (3, 1, [1, 1, 1, 2]), (1, 2, [1, 1, 2, 2])],
)
def test_on_the_way_in_queries_wait_for_a_core(hook, cores, frontends, started_s):
    record = finished(
        one_variant(), AT_ONCE, Costly(hook, cpu_s=1.0), workers=4, frontend_cores=cores, frontends=frontends
    )
    assert record.started_s.tolist() == started_s
    assert record.delivered_s.tolist() == [start + 1 for start in started_s]
    assert record.defenses[0].cpu_s == 4.0


@pytest.mark.parametrize("hook", ["transform", "release"])
@pytest.mark.parametrize(("cores", "delivered_s"), [(1, [2, 3, 4, 5]), (2, [2, 2, 3, 3])])
def test_on_the_way_out_answers_wait_for_a_core(hook, cores, delivered_s):
    """Also where nobody reads the answers, since there is no data set."""
    record = finished(one_variant(), AT_ONCE, Costly(hook, cpu_s=1.0), workers=4, frontend_cores=cores)
    assert record.started_s.tolist() == [0] * 4
    assert record.delivered_s.tolist() == delivered_s
    assert record.defenses[0].cpu_s == 4.0


def test_what_observes_keeps_others_waiting_and_not_its_own():
    """It takes the only core from 1 to 3, where the query that came at 1.5 has to wait."""
    record = finished(one_variant(), queries([0.0, 1.5]), Costly("observe", cpu_s=2.0))
    assert record.delivered_s.tolist() == [1.0, 4.0]
    assert record.started_s.tolist() == [0.0, 3.0]


def test_a_core_is_shared_by_what_comes_and_what_goes():
    """In from 0 to 1, computed until 2; the second is let in from 1.5 to 2.5, so that the first gets out at 3.5."""
    both = [Costly("admit", cpu_s=1.0), Costly("release", cpu_s=1.0)]
    record = finished(one_variant(), queries([0.0, 1.5]), *both, workers=2)
    assert record.delivered_s.tolist() == [3.5, 4.5]
    assert [defense.cpu_s for defense in record.defenses] == [2.0, 2.0]


def test_the_device_takes_longer_by_the_batch_and_by_the_query():
    zoo = replace(one_variant(), variants=(replace(one_variant().variants[0], latency=PROFILE),))
    plain = finished(zoo, queries([0.0] * 3), batching=Greedy(2))
    assert plain.busy_s.tolist() == [1.0 + 1.5]
    for hook in ("admit", "transform", "release", "observe", "rewrite"):
        charged = finished(zoo, queries([0.0] * 3), Costly(hook, gpu_s=0.25, gpu_batch_s=4.0), batching=Greedy(2))
        assert charged.busy_s.tolist() == [1.0 + 1.5 + 3 * 0.25 + 2 * 4.0]
        assert charged.defenses[0].gpu_s == 3 * 0.25 + 2 * 4.0


@dataclass(frozen=True)
class Spending(Defense):
    """Take time by state: the n-th query of an account n times as much."""

    kind = "spending"
    plain = False
    hook: str = "admit"
    times: dict[str, float] = field(default_factory=dict)
    refuses: bool = False

    def state(self):
        return [0]

    def _spend(self, deployment):
        def spend(account):
            count = deployment.of(account)
            count[0] += 1
            deployment.spend(**{name: seconds * count[0] for name, seconds in self.times.items()})
            return "rejected" if self.refuses else None

        return spend

    def admit(self, deployment):
        return self._spend(deployment) if self.hook == "admit" else None

    def release(self, deployment):
        if self.hook != "release":
            return None
        spend = self._spend(deployment)
        return lambda account: spend(account) or 0.0

    def observe(self, deployment):
        return self._spend(deployment) if self.hook == "observe" else None


def test_time_by_state_is_each_accounts():
    arrivals = queries(np.arange(0.0, 40.0, 10), account=[0, 0, 1, 0])
    cpu = finished(one_variant(), arrivals, Spending(times={"cpu_s": 1.0}))
    assert (cpu.started_s - cpu.sent_s).tolist() == [1, 2, 1, 3]
    gpu = finished(one_variant(), arrivals, Spending(times={"gpu_s": 1.0}))
    assert (gpu.finished_s - gpu.started_s).tolist() == [2, 3, 2, 4]
    assert gpu.busy_s.tolist() == [4 + 7]
    assert gpu.defenses[0].gpu_s == 7.0
    client = finished(one_variant(), arrivals, Spending(times={"client_s": 1.0}))
    assert (client.started_s - client.sent_s).tolist() == [1, 2, 1, 3]
    later = finished(one_variant(), arrivals, Spending("release", {"client_s": 1.0}))
    assert (later.started_s - later.sent_s).tolist() == [0] * 4
    assert (later.delivered_s - later.finished_s).tolist() == [1, 2, 1, 3]
    assert (client.defenses[0].client_s, later.defenses[0].client_s) == (7.0, 7.0)


NETWORK = Network(links=(Link(("home", "frontend-0"), 0.5), Link(("frontend-0", "gpu"), 0.0)), regions={"home": 1.0})


def test_a_challenge_goes_to_the_client_and_back():
    """Half a second to the frontend; then the challenge half a second back, 2 s of work, and half a second again."""
    record = finished(one_variant(), queries([0.0]), Costly("admit", client_s=2.0), network=NETWORK)
    assert record.started_s.tolist() == [0.5 + 0.5 + 2.0 + 0.5]
    assert record.delivered_s.tolist() == [0.5 + 0.5 + 2.0 + 0.5 + 1.0 + 0.5]


def test_a_client_that_has_solved_it_may_still_be_refused():
    record = finished(one_variant(), queries([0.0]), Spending(times={"client_s": 2.0}, refuses=True))
    assert (outcomes(record), record.delivered_s.tolist()) == (["rejected"], [2.0])


@pytest.mark.parametrize(("hook", "name"), [("release", "gpu_s"), ("observe", "gpu_s"), ("observe", "client_s")])
def test_a_hook_cannot_take_what_is_not_there_any_more(hook, name):
    with pytest.raises(ValueError, match=f"{name} cannot be taken here, where spending may take cpu_s"):
        finished(one_variant(), queries([0.0]), Spending(hook, {name: 1.0}))
    if name == "client_s":
        with pytest.raises(Misfit, match="observe of costly has no client to charge"):
            finished(one_variant(), queries([0.0]), Costly(hook, client_s=1.0))


# --- order ------------------------------------------------------------------------------------------------------------


def test_the_first_refusal_ends_a_query_and_later_ones_do_not_see_it():
    arrivals = queries(np.arange(4.0))
    two, three = QueryBudget(2, cpu_s=0.01), QueryBudget(3, cpu_s=0.01)
    first = finished(one_variant(0.1), arrivals, two, three).defenses
    assert [one.refused for one in first] == [{0: 2}, {}]
    assert [one.cpu_s for one in first] == pytest.approx([0.04, 0.02])
    other = finished(one_variant(0.1), arrivals, three, two).defenses
    assert [one.refused for one in other] == [{0: 1}, {0: 1}]
    assert [one.cpu_s for one in other] == pytest.approx([0.04, 0.03])


@dataclass(frozen=True)
class Turning(Defense):
    """Pass every probability on to the next class."""

    kind = "turning"
    by: int = 1
    cpu_s: float = 0.0

    def charges(self):
        return {"transform": Charge(cpu_s=self.cpu_s)}

    def transform(self, deployment):
        return (lambda answers: np.roll(answers, self.by, axis=1)) if self.by else None


@dataclass(frozen=True)
class FirstClass(Defense):
    """Double the first class, and divide by the sum."""

    kind = "first-class"

    def transform(self, deployment):
        def doubled(answers):
            more = answers * np.array([2.0, 1, 1, 1], dtype=np.float32)
            return more / more.sum(axis=1, keepdims=True)

        return doubled


BEST = Spec(0.9, math.inf)


def ask(zoo, items, *defenses, spec=BEST, **settings):
    """Return the answers that a closed-loop client gets to its items, one after the other, and the record."""
    named = dict(zip("abcdefgh", defenses, strict=False))
    built = cluster(zoo, queries([]), closed_loop=len(items), defenses=named, **settings)
    client, answers = built.client("c", 7, len(items)), []

    def asking():
        for item in items:
            answer = yield client.ask(item, spec)
            answers.append(answer)

    built.env.process(asking())
    built.settle()
    return answers, built.record()


def test_answers_are_changed_in_the_order_of_the_scenario():
    uniform = replace(ZOO, answers=replace(ZOO.answers, probabilities=np.full((5, 120, 4), 0.25, np.float32)))
    for defenses, expected in (
        ((FirstClass(), Turning()), [0.2, 0.4, 0.2, 0.2]),
        ((Turning(), FirstClass()), [0.4, 0.2, 0.2, 0.2]),
        ((FirstClass(), TopK(1, cpu_s=0), Turning(2)), [0, 0, 1, 0]),
    ):
        (answer,), record = ask(uniform, [40], *defenses)
        assert answer.probabilities == pytest.approx(np.array(expected))
        assert record.received_label.tolist() == [int(np.argmax(expected))]
        assert record.distortion == pytest.approx([np.abs(np.array(expected) - 0.25).sum()])


def test_outcomes_are_kept_back_in_the_order_of_the_scenario():
    """To the next second and then 0.3 s of the client's more, or the other way round."""
    padding, puzzle = LatencyPadding(0.0, 1.0, cpu_s=0), Costly("release", client_s=0.3)
    arrivals = queries([0.0])
    assert finished(one_variant(0.8), arrivals, padding, puzzle).delivered_s == pytest.approx([1.3])
    assert finished(one_variant(0.8), arrivals, puzzle, padding).delivered_s == pytest.approx([2.0])
    fine = LatencyPadding(0.0, 0.7, cpu_s=0)  # to 1.4, and from there to 2; or to 1, and from there to 1.4
    assert finished(one_variant(0.8), arrivals, fine, padding).delivered_s == pytest.approx([2.0])
    assert finished(one_variant(0.8), arrivals, padding, fine).delivered_s == pytest.approx([1.4])


def test_jobs_of_a_core_are_done_in_the_order_in_which_they_come_also_within_a_moment():
    """The second takes no time, and what follows from it comes behind the third, which waited before."""
    env, done = Simulation(), []
    cpu = Cpu(env, 1)

    def job(name, seconds, then=lambda: None):
        def begin():
            done.append((name, env.now, cpu.idle))
            return seconds, then

        return begin

    cpu.submit(job("first", 1.0))
    cpu.submit(job("second", 0.0, lambda: cpu.submit(job("fourth", 0.0))))
    cpu.submit(job("third", 0.5))
    env.run()
    assert [entry[:2] for entry in done] == [("first", 0), ("second", 1), ("third", 1), ("fourth", 1.5)]
    assert [entry[2] for entry in done] == [True, False, False, True]  # somebody waits when the middle two begin


# --- what clients receive ---------------------------------------------------------------------------------------------


def both_clients(*defenses, **settings):
    """Return the record of the same queries sent by open-loop users and by closed-loop ones, one after the other."""
    items = [40, 41, 42, 43, 44, 45]
    open_loop = finished(ZOO, of_items(np.arange(6.0), items, accuracy=0.9), *defenses, **settings)
    return open_loop, ask(ZOO, items, *defenses, **settings)[1]


@pytest.mark.parametrize("cpu_s", [0.0, 0.001])
@pytest.mark.parametrize("plain", [None, False])
def test_the_label_as_received_is_recorded_and_judged(cpu_s, plain):
    """What the model says is passed on to the next class: on the fast path, in the fleet, and where that takes time."""
    given = ZOO.answers.probabilities[-1, 40:46].argmax(axis=1)
    truth = ZOO.answers.data.labels[40:46]
    for record in both_clients(Turning(cpu_s=cpu_s), plain=plain if not cpu_s else None):
        assert record.received_label.tolist() == ((given + 1) % 4).tolist()
        assert record.distortion.tolist() == [2.0] * 6
        mine = measured(record, attacking=False)
        assert mine.answer_accuracy() == ((given + 1) % 4 == truth).mean()
        assert (mine.distortion_l1(), mine.label_flips()) == (2.0, 1.0)
    for record in both_clients(Turning(0), plain=plain):
        assert record.received_label.tolist() == given.tolist()
        assert measured(record, attacking=False).answer_accuracy() == (given == truth).mean()


def test_what_changes_answers_is_charged_for_open_loop_users_too():
    for record in both_clients(Turning(cpu_s=0.25)):
        assert record.defenses[0].cpu_s == 1.5
        assert (record.delivered_s - record.finished_s).tolist() == pytest.approx([0.25] * 6)


@dataclass(frozen=True)
class Suspicious(Defense):
    """Mark every other item, and give a marked query another label."""

    kind = "suspicious"

    def admit(self, deployment):
        return lambda item: Mark("odd") if item % 2 else None

    def transform(self, deployment):
        def turned(answers, mark):
            return np.stack([np.roll(a, 1) if m == "odd" else a for a, m in zip(answers, mark, strict=True)])

        return turned


def test_a_mark_goes_with_its_query_to_the_answer():
    given = ZOO.answers.probabilities[-1, 40:46].argmax(axis=1)
    for record in both_clients(Suspicious()):
        assert record.received_label.tolist() == ((given + np.array([0, 1] * 3)) % 4).tolist()


def test_a_client_sees_what_a_defense_makes_of_its_queries():
    answers, _ = ask(ZOO, [40, 40, 40], QueryBudget(2, cpu_s=0), LatencyPadding(0.0, 0.5, cpu_s=0), LabelOnly())
    assert [answer.outcome for answer in answers] == ["answered", "answered", "throttled"]
    assert [answer.elapsed_s for answer in answers] == pytest.approx([0.5] * 3)
    assert sorted(answers[0].probabilities.tolist()) == [0, 0, 0, 1]
    assert answers[2].probabilities is None


# --- whatever happens -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watching(Defense):
    """Note every call of every hook."""

    kind = "watching"
    plain = False

    def state(self):
        return []

    def _note(self, deployment, hook):
        return lambda account, item, what=None: deployment.everyone.append((hook, account, item, what))

    def admit(self, deployment):
        note = self._note(deployment, "admit")

        def noted(account, item):
            note(account, item)

        return noted

    def transform(self, deployment):
        note = self._note(deployment, "transform")

        def noted(answers, account, item):
            for one in zip(account.tolist(), item.tolist(), strict=True):
                note(*one)
            return answers

        return noted

    def release(self, deployment):
        note = self._note(deployment, "release")

        def noted(account, item, outcome):
            note(account, item, outcome)
            return 0.001

        return noted

    def observe(self, deployment):
        note = self._note(deployment, "observe")

        def noted(account, item, outcome):
            note(account, item, outcome)

        return noted


AROUND = {
    "nothing": {},
    "crash": {"faults": {"f": Crash(at_s=(0.02, 0.3, 1.0), for_s=0.05)}, "retries": 3},
    "crash without retries": {"faults": {"f": Crash(at_s=(0.02, 0.3, 1.0), for_s=0.05)}, "retries": 0},
    "frontend": {"faults": {"f": FrontendRestart(at_s=(0.1, 1.5), for_s=0.2)}, "frontends": 2},
    "hedging": {"hedge_after_s": 0.005, "routing": JoinShortestQueue()},
    "ensemble": {"selection": MajorityEnsemble(3)},
    "network": {"network": NETWORK},
    "cores": {"frontend_cores": 3},
}


@pytest.mark.parametrize("surroundings", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("cpu_s", [0.0, 0.002])
def test_each_hook_sees_each_query_once_whatever_happens(surroundings, cpu_s):
    rng = np.random.default_rng(5)
    n = 150
    items = rng.permutation(np.arange(40, 120)).repeat(2)[:n]
    arrivals = of_items(
        np.sort(rng.uniform(0, 2, n)), items, accuracy=rng.choice([0.5, 0.8, 0.99], n), account=rng.integers(0, 4, n)
    )
    zoo = surroundings["selection"].extended(ZOO) if "selection" in surroundings else ZOO
    defenses = {"one": Watching(), "two": Costly("admit", cpu_s=cpu_s), "three": Costly("release", cpu_s=cpu_s)}
    built = cluster(zoo, arrivals, 3, defenses=defenses, **surroundings)
    built.settle()
    record = built.record()
    seen = {
        hook: sorted(call[1:] for call in built.hooks.deployed["one"].everyone if call[0] == hook)
        for hook in ("admit", "transform", "release", "observe")
    }
    sent = sorted(zip(record.account.tolist(), record.item.tolist(), outcomes(record), strict=True))
    assert set(outcomes(record)) >= {"answered", "infeasible"}
    if "frontends" in surroundings:  # what found none of them was seen by none
        assert any(outcome == "failed" for *_, outcome in sent)
        sent = [one for one in sent if one[2] != "failed"]
    assert seen["release"] == seen["observe"] == sent
    assert seen["transform"] == [(*one[:2], None) for one in sent if one[2] == "answered"]
    assert seen["admit"] == [(*one[:2], None) for one in sent]
    assert record.defenses[1].cpu_s == pytest.approx(cpu_s * len(sent))
    assert record.defenses[2].cpu_s == pytest.approx(cpu_s * len(sent))
    assert not any((built.hooks.deployed["one"].marks, *_left(built.fleet.checkpoint)))


def _left(checkpoint):
    return checkpoint._answer, checkpoint._outcome, checkpoint._gpu_s, checkpoint.held


def test_a_query_that_solved_a_challenge_goes_on_at_the_frontend_as_it_is_then():
    """Restarted meanwhile, it has a new bucket, which the second query finds full; the old one was empty."""
    arrivals = queries([0.0, 0.5])
    restart = {"f": FrontendRestart(at_s=(2.0,), for_s=0.4)}
    settings = {"admission": TokenBucket(1e-6, 1.0), "faults": restart}
    once = finished(one_variant(0.1), arrivals, Spending(times={"client_s": 1.0}), **settings)
    assert outcomes(once) == ["answered", "answered"]  # at 1 and, with twice the work, at 2.5
    assert outcomes(finished(one_variant(0.1), arrivals, **{**settings, "faults": {}})) == ["answered", "throttled"]


# --- without strength -------------------------------------------------------------------------------------------------

IDLE = [
    Rounding(8),
    TopK(4),
    QueryBudget(math.inf),
    RateLimit(math.inf),
    LatencyPadding(0.0, 0.0),
    NearDuplicates(distance=0.0),
    NearDuplicates(distance=0.0, action="flag"),
]


@pytest.mark.parametrize("defense", IDLE, ids=repr)
def test_without_strength_it_is_no_defense_byte_for_byte(defense):
    bare, idle = example_run()[0], example_run(defenses={"a": defense})[0]
    for name, column in vars(bare).items():
        if isinstance(column, np.ndarray):
            assert column.tobytes() == getattr(idle, name).tobytes(), name
    assert (idle.defenses[0].cpu_s, idle.defenses[0].detects) == (0.0, False)
    named = Cluster(ZOO, {"gpu": WorkerGroup("gpu", 1)}, operator(defenses={"a": defense}), queries([0.0]))
    assert named.fleet is None  # the fast path will do


def test_what_changes_answers_for_nothing_takes_the_fast_path():
    for defense, plain in ((TopK(2, cpu_s=0), True), (TopK(2), False), (LabelOnly(cpu_s=0), True)):
        built = cluster(ZOO, queries([0.0]), defenses={"a": defense})
        assert (built.fleet is None) == plain


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rounding(-1), "decimals must be at least 0, not -1"),
        (lambda: TopK(0), "k must be at least 1, not 0"),
        (lambda: LabelOnly(-1.0), "cpu_s must be at least 0 and finite, not -1.0"),
        (lambda: QueryBudget(-1), "most must be a whole number, at least 0, or inf, not -1"),
        (lambda: QueryBudget(1.5), "most must be a whole number"),
        (lambda: QueryBudget(math.nan), "most must be a whole number"),
        (lambda: RateLimit(0.0), "rate must be above 0"),
        (lambda: RateLimit(math.nan), "rate must be above 0"),
        (lambda: RateLimit(1.0, 0.5), "burst must be at least 1"),
        (lambda: RateLimit(math.inf, math.nan), "burst must be at least 1"),
        (lambda: LatencyPadding(-1.0), "least_s must be at least 0 and finite, not -1.0"),
        (lambda: LatencyPadding(0.0, math.inf), "quantum_s must be at least 0 and finite, not inf"),
        (lambda: NearDuplicates(-0.1), "distance must be at least 0"),
        (lambda: NearDuplicates(count=0), "count must be at least 1, not 0"),
        (lambda: NearDuplicates(most_seen=0), "most_seen must be at least 1, not 0"),
        (lambda: NearDuplicates(lag_s=math.inf), "lag_s must be at least 0 and finite"),
    ],
)
def test_wrong_numbers_are_refused_by_their_names(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


# --- what the summary says --------------------------------------------------------------------------------------------


def acts(flags, refused, *, detects=True):
    """Return what the summary says of a defense in a run of accounts 0 and 1, benign, and 7 and 8, a thief's.

    Account 7 sends at 0, 1, 2 and 3 and is answered half a second later; the others send one query each, at 5.
    """
    arrivals = queries([0.0, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0], account=[7, 7, 7, 7, 8, 0, 1])
    built = cluster(one_variant(0.5), arrivals, 4)
    built.settle()
    own = DefenseRecord("d", "by-hand", flags, refused, 1.5, 2.5, 3.5, detects)
    record = replace(built.record(attackers={7: "thief", 8: "thief"}), defenses=(own,))
    return summarize(record, [], "s", 1).to_dict()["defenses"][0]


def test_flags_are_judged_by_account():
    found = acts({7: 2.2, 1: 9.0}, {7: 3, 0: 2})
    assert found == {
        "name": "d",
        "kind": "by-hand",
        "flags": 2,
        "false_positive_rate": 0.5,
        "true_positive_rate": 0.5,
        "queries_to_flag": 3.0,  # those at 0, 1 and 2
        "under_way": 1,  # that of 2, answered at 2.5; account 1 had its answer long before
        "refused_benign": 2,
        "refused_attacker": 3,
        "cpu_s": 1.5,
        "gpu_s": 2.5,
        "client_s": 3.5,
    }


def test_a_flag_between_two_queries_finds_none_under_way():
    assert acts({7: 1.7}, {})["under_way"] == 0
    assert acts({7: 1.5}, {})["under_way"] == 0  # the moment of the answer
    assert acts({7: 1.0}, {})["under_way"] == 0  # the moment of sending
    assert acts({7: 1.0}, {})["queries_to_flag"] == 2.0
    both = acts({7: 0.2, 8: 5.1}, {})
    assert (both["queries_to_flag"], both["under_way"], both["true_positive_rate"]) == (1.0, 2, 1.0)


def test_what_looks_for_nobody_says_nothing_of_flags():
    found = acts({}, {}, detects=False)
    assert {key for key, value in found.items() if value is None} == {
        "flags",
        "false_positive_rate",
        "true_positive_rate",
        "queries_to_flag",
        "under_way",
    }
    looked = acts({}, {})
    assert (looked["flags"], looked["true_positive_rate"], looked["queries_to_flag"]) == (0, 0.0, None)


def test_answers_that_were_under_way_at_a_flag_are_counted_in_a_run():
    """Kept back for a second: of the flag, 2 s after the fourth answer, two queries still wait for theirs."""
    arrivals = of_items([0.0, 0.0, 0.0, 0.0, 1.5, 1.6, 3.0], [40] * 7)
    record = finished(ZOO, arrivals, replace(NEAR, lag_s=2.0), LatencyPadding(1.0, 0.0), workers=4)
    assert 2.0 < record.defenses[0].flags[0] < 2.5
    (found, _) = summarize(record, [], "s", 1).defenses
    assert (found.flags, found.under_way, found.refused_benign) == (1, 2, 1)


def test_the_table_of_a_run_shows_its_defenses():
    limit, compare = QueryBudget(1, cpu_s=0.01), replace(NEAR, count=1)
    record = finished(ZOO, of_items(np.arange(4.0), [40] * 4, account=[0, 0, 1, 1]), limit, compare)
    (table,) = [table for table in run_tables(summarize(record, [], "s", 1).to_dict()) if "Defenses" in table.caption]
    columns_ = ["flags", "false positives", "benign queries refused", "frontend CPU (s)"]
    assert table.header == ["defense", "kind", *columns_]
    assert table.rows == [
        ["a", "query-budget", "–", "–", "2", "0.040"],
        ["b", "near-duplicates", "2", "1.000", "0", "0.000"],
    ]
    without = run_tables(summarize(example_run()[0], [], "s", 1).to_dict())
    assert not any("Defenses" in table.caption for table in without)


def test_a_metric_of_several_defenses_has_a_column_for_each():
    limits = {"loose": QueryBudget(3, cpu_s=0), "tight": QueryBudget(2, cpu_s=0)}
    built = cluster(one_variant(0.1), queries(np.arange(5.0)), defenses=limits)
    built.settle()
    summary = summarize(built.record(), [], "s", 1).to_dict()
    cell = Cell({}, (summary,))
    several = columns([cell], ["goodput", "refused_benign"])
    assert [column.key for column in several[1:]] == [f"defenses.{name}.refused_benign" for name in limits]
    assert [column.label for column in several[1:]] == [f"{name}: benign queries refused" for name in limits]
    assert [cell.values(column.metric, column.whose) for column in several[1:]] == [[2], [1]]
    assert Cell({}, (summary | {"defenses": []},)).values("refused_benign") == [None]


# --- the study of limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accounts", [1, 4])
def test_a_limit_counts_a_thiefs_infeasible_probes_and_bounds_what_he_finds(accounts):
    """PSML's search takes 175 queries, half of which no variant meets; behind a limit it sees the first ones only."""
    few = {"run.duration_s": 4.0, "workload.users.accounts": 400, "adversary.thief.sybils.accounts": accounts}
    found = {}
    for most in (5, 20, 60, 130, math.inf):
        result = run(load("query-limits", {**few, "defense.limit.most": float(most)}))
        record, (thief,) = result.record, result.summary.attacks
        mine = record.outcome[record.attacking]
        passed = int((mine != OUTCOMES.index("throttled")).sum())
        infeasible = int((mine == OUTCOMES.index("infeasible")).sum())
        assert passed == min(most * accounts, 175)
        assert infeasible > 0.1 * passed
        assert thief.queries_rejected == thief.queries_sent - passed
        found[most] = thief.fingerprint.models_found
    assert list(found.values()) == sorted(found.values())
    assert found[math.inf] == 12
    assert found[5] < 12
