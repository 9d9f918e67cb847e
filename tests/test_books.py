"""The books of runs whose queries are copied, voted on, lost and tried again: what answered, and each batch once."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from conftest import cluster, front_zoo, one_variant, queries
from hypothesis import given, settings
from hypothesis import strategies as st
from test_faults import NETWORK, RACKS, FirstAlone, build, crash, fault_times, finished, outcomes

from analysis import summarize
from policies import (
    Aimd,
    DropNever,
    EarlyDrop,
    Edf,
    Fifo,
    Greedy,
    JoinShortestQueue,
    LeastWork,
    MajorityEnsemble,
    PreemptivePriority,
    RandomFeasible,
    RoundRobin,
    SharedQueue,
    SizeOrTimeout,
    SlackFit,
    TargetUtilization,
)
from sim import OUTCOMES, NoJitter, SlowDown
from sim.fleet.machine import Machine

ANSWERED = OUTCOMES.index("answered")
assert NETWORK.links == RACKS


@dataclass
class Seen:
    """Take down every batch as it starts, ends or is lost: (worker, start, end, rows, variant)."""

    begun: dict[int, tuple[Machine, object, float]] = field(default_factory=dict)
    done: list[tuple[int, float, float, tuple[int, ...], int]] = field(default_factory=list)
    lost: list[tuple[int, float, float, tuple[int, ...], int]] = field(default_factory=list)

    def watch(self, patch):
        start, crash_, give_up = Machine.start, Machine.crash, Machine.give_up_suspended
        ends = {}

        def started(machine, batch, extra_s=0.0):
            if machine not in ends:
                ends[machine], machine.finished = machine.finished, ended
            self.begun[id(batch)] = (machine, batch, machine._env.now)
            start(machine, batch, extra_s)

        def ended(machine, batch):
            self.done.append(self.over(batch))
            ends[machine](machine, batch)

        def crashed(machine):
            batches = crash_(machine)
            self.lost += [self.over(batch) for batch in batches]
            return batches

        def given_up(machine):
            batches = give_up(machine)
            self.lost += [self.over(batch) for batch in batches]
            return batches

        patch.setattr(Machine, "start", started)
        patch.setattr(Machine, "crash", crashed)
        patch.setattr(Machine, "give_up_suspended", given_up)

    def over(self, batch):
        machine, _, start_s = self.begun.pop(id(batch))
        return machine.number, start_s, machine._env.now, tuple(batch.rows), batch.variant


runs = st.fixed_dictionaries(
    {
        "gaps": st.lists(st.floats(0, 0.01), min_size=1, max_size=50),
        "workers": st.integers(2, 3),
        "streams": st.just(1),
        "stream_gain": st.just(0.0),
        "pace": st.sampled_from([1.0, 0.1]),
        "memory": st.sampled_from([None, None, "lru"]),
        "network": st.sampled_from([False, False, True]),
        "frontends": st.integers(1, 2),
        "retries": st.integers(0, 2),
        "hedge_after_s": st.sampled_from([None, 0.002, 0.01]),
        "scaling": st.sampled_from([None, None, TargetUtilization(period_s=0.05, down_window_s=0.1)]),
        "selection": st.sampled_from([RandomFeasible(), SlackFit(4), MajorityEnsemble(3), MajorityEnsemble(3)]),
        "discipline": st.sampled_from([Fifo(), Edf(), PreemptivePriority()]),
        "batching": st.sampled_from([Greedy(1), Greedy(4), SizeOrTimeout(3, 0.004), Aimd(8)]),
        "dropping": st.sampled_from([DropNever(), DropNever(), EarlyDrop()]),
        "routing": st.sampled_from([SharedQueue(), JoinShortestQueue(), RoundRobin(), LeastWork()]),
        "admission": st.none(),
        "jitter": st.just(NoJitter()),
        "crash": st.none() | fault_times,
        "slow": st.none(),
        "link": st.none() | fault_times,
        "restart": st.none(),
        "withdrawal": st.none() | fault_times,
        "until": st.sampled_from([0.05, 0.3, 3.0]),
    }
)


@settings(max_examples=120, deadline=None)
@given(runs, st.integers(0, 2**32 - 1))
def test_the_record_holds_what_served_each_answer(run, seed):
    seen = Seen()
    with pytest.MonkeyPatch.context() as patch:
        seen.watch(patch)
        built = build(run, seed)
        built.env.run(until=run["until"])
        record = built.record()
    zoo, served = record.zoo, ~np.isnan(record.finished_s)
    # Every answer came from one batch: with the first that ended, or an ensemble's with the last of its votes.
    votes = {row: len(zoo.members(int(record.variant[row]))) for row in np.flatnonzero(served)}
    ended: dict[int, list[int]] = {}
    for number, (*_, rows, _) in enumerate(seen.done):
        for row in rows:
            ended.setdefault(row, []).append(number)
    rows_of = np.arange(built.log.capacity)[built.log.rows_sent(built.env.arrived)]
    for at in np.flatnonzero(served):
        worker, start_s, end_s, rows, variant = seen.done[ended[int(rows_of[at])][votes[at] - 1]]
        assert (record.worker[at], record.started_s[at], record.finished_s[at]) == (worker, start_s, end_s)
        assert record.batch_size[at] == len(rows)
        assert variant in zoo.members(int(record.variant[at]))
        if run["discipline"] != PreemptivePriority():
            assert end_s - start_s == pytest.approx(
                built.fleet.pool.machines[worker].seconds[variant][len(rows)], rel=1e-9
            )
    assert served[record.outcome == ANSWERED].all()
    # What never ended has the batch that runs it at the end of the run, or that it was lost with; all else has none.
    ran = record.worker >= 0
    assert (ran == ~np.isnan(record.started_s)).all()
    assert (ran == (record.batch_size > 0)).all()
    running = {row for _, batch, _ in seen.begun.values() for row in batch.rows}
    gone = {row for *_, rows, _ in seen.lost for row in rows}
    for at in np.flatnonzero(ran & ~served):
        assert int(rows_of[at]) in (running if OUTCOMES[record.outcome[at]] == "unfinished" else gone)
    # Each batch counts once, with all that it held.
    assert record.batches.tolist() == [sum(w == n for w, *_ in seen.done) for n in range(len(record.workers))]
    assert record.batched.sum() == sum(len(rows) for *_, rows, _ in seen.done)
    assert record.copies == record.batched.sum() - served.sum()
    if run["hedge_after_s"] is None and run["selection"] != MajorityEnsemble(3):
        assert record.copies == 0
    if run["discipline"] != PreemptivePriority():
        worked = [(w, end_s - start_s) for w, start_s, end_s, *_ in [*seen.done, *seen.lost]]
        worked += [(m.number, record.horizon_s - start_s) for m, _, start_s in seen.begun.values()]
        busy_s = np.bincount([w for w, _ in worked], [s for _, s in worked], len(record.workers))
        assert record.busy_s == pytest.approx(busy_s, abs=1e-9)
    size = summarize(record, [], "s", 1).cluster.mean_batch_size
    assert size == (pytest.approx(np.mean([len(rows) for *_, rows, _ in seen.done])) if seen.done else None)


def slow_first(*sent_s, **settings_):
    """Send the first query to a worker at a tenth of its speed, and all others to a sound one."""
    faults = {"slow": SlowDown(at_s=(0.0,), for_s=50.0, speed=0.1, workers=("gpu-0",))}
    return cluster(one_variant(), queries(sent_s), 2, routing=FirstAlone(), faults=faults, **settings_)


def test_a_copy_that_starts_late_and_loses_leaves_no_trace():
    # The copy of the first query waits behind two others until 2.8 s, and the first copy answers at 3.0 s.
    faults = {"slow": SlowDown(at_s=(0.0,), for_s=50.0, speed=1 / 3, workers=("gpu-0",))}
    arrivals = queries([0.0, 0.8, 0.9])
    built = cluster(one_variant(), arrivals, 2, routing=FirstAlone(), faults=faults, hedge_after_s=1.0)
    record = finished(built)
    assert record.started_s.tolist() == pytest.approx([0.0, 0.8, 1.8])
    assert record.finished_s.tolist() == pytest.approx([3.0, 1.8, 2.8])
    assert record.worker.tolist() == [0, 1, 1]
    assert record.batched.tolist() == record.batches.tolist() == [1, 3]
    assert record.copies == 1


def test_a_late_copy_is_work_but_no_answer():
    record = finished(slow_first(0.0, hedge_after_s=2.0))
    assert (record.started_s[0], record.finished_s[0], record.worker[0]) == (2.0, 3.0, 1)
    assert (record.copies, record.batches.tolist()) == (1, [1, 1])
    summary = summarize(record, [], "s", 1).cluster
    assert (summary.mean_batch_size, summary.copies) == (1.0, 1)
    # The slow copy goes on until 10 s, which counts as work: a run to its end lasts so long.
    assert record.busy_s.tolist() == pytest.approx([10.0, 1.0])


@pytest.mark.parametrize("plain", [True, False])
def test_work_ends_with_the_last_batch(plain):
    built = cluster(one_variant(), queries([0.0, 0.5]), plain=plain)
    built.settle()
    assert built.log.last_work_s() == built.record().finished_s.max() == 2.0
    assert slow_first().log.last_work_s() == 0.0
    hedged = slow_first(0.0, hedge_after_s=2.0)
    hedged.settle()
    assert hedged.log.last_work_s() == pytest.approx(10.0)


def test_what_waits_again_has_not_started():
    built = cluster(one_variant(), queries([0.0, 0.1]), faults=crash((0.5,), 1.0))
    built.env.run(until=2.0)
    record = built.record()
    assert outcomes(record) == ["unfinished", "unfinished"]
    # The first was lost with its worker and waits behind the second, which runs.
    assert np.isnan(record.started_s[0])
    assert record.started_s[1] == 1.5
    assert record.worker.tolist() == [-1, 0]
    assert record.batch_size.tolist() == [0, 1]


def test_what_failed_has_the_worker_that_it_was_lost_with():
    record = finished(
        cluster(one_variant(), queries([0.0, 0.0]), batching=Greedy(2), faults=crash((0.5,), 1.0), retries=0)
    )
    assert outcomes(record)[0] == "failed"
    assert record.worker[0] == 0
    assert record.started_s[0] == 0.0


@pytest.mark.parametrize("selection", [SlackFit(4), MajorityEnsemble(3), RandomFeasible()])
@pytest.mark.parametrize("hedge_after_s", [None, 0.004])
def test_no_work_is_left_where_nothing_waits(selection, hedge_after_s):
    """What routing by the least work reads is 0 again when all is served, whichever variant served it."""
    rng = np.random.default_rng(1)
    arrivals = queries(np.cumsum(rng.exponential(0.002, 400)), 0.5, rng.uniform(0.005, 0.05, 400))
    policies = {"selection": selection, "routing": LeastWork(), "batching": Greedy(4), "dropping": EarlyDrop()}
    built = cluster(selection.extended(front_zoo()), arrivals, 2, hedge_after_s=hedge_after_s, **policies)
    built.settle()
    assert [place.load for place in built.fleet.pool.dispatchers] == [0, 0]
    assert [place.work_s for place in built.fleet.pool.dispatchers] == pytest.approx([0.0, 0.0], abs=1e-9)
