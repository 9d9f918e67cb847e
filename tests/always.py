"""What holds in every run, while it runs and in what it leaves, and what a fuzz is to reach in some of them."""

import json
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest

from experiments import running, simulation
from policies import PreemptivePriority
from sim import OUTCOMES, AdaptiveSelection
from sim.engine.lifecycle import STATES
from sim.fleet.ledger import Ledger
from sim.fleet.machine import Machine
from sim.fleet.memory import DeviceMemory

ANSWERED, SHED = (OUTCOMES.index(name) for name in ("answered", "shed"))


def watch(patch, down, steps):
    """Check every start of a batch and every load as it happens, and note when each worker is down.

    Args:
        patch: pytest's monkeypatch.
        down: filled with the times of every worker's crashes: lists of a beginning and an end.
        steps: filled with the transitions that were seen.
    """
    start, crash, repair, load, move = Machine.start, Machine.crash, Machine.repair, DeviceMemory.load, Ledger.move

    def checked_start(machine, batch, extra_s=0.0):
        assert machine.up, "a batch starts on a worker that is down"
        assert machine.active, "a batch starts on a worker that is not in service"
        assert machine.memory is None or batch.variant in machine.memory.resident, "a batch starts without its weights"
        start(machine, batch, extra_s)
        assert len(machine.running) <= machine._streams, "more batches at once than streams"
        assert len(batch.rows) < len(machine.seconds[batch.variant]), "a batch larger than the profile was asked for"

    def checked_load(memory, variant, pinned):
        load(memory, variant, pinned)
        held = {*memory.resident, *([memory.loading] if memory.loading >= 0 else [])}
        assert sum(memory._sizes[v] for v in held) == pytest.approx(memory.used_bytes)
        assert memory.used_bytes <= memory.capacity_bytes, "more weights than memory"
        assert pinned <= memory.resident, "weights in use were evicted"

    def noted_crash(machine):
        down.setdefault(machine.number, []).append([machine._env.now, np.inf])
        return crash(machine)

    def noted_repair(machine):
        down[machine.number][-1][1] = machine._env.now
        repair(machine)

    def noted_move(ledger, row, to):
        steps.add((STATES[ledger.state[row]], STATES[to]))
        move(ledger, row, to)

    patch.setattr(Ledger, "move", noted_move)
    patch.setattr(Machine, "start", checked_start)
    patch.setattr(Machine, "crash", noted_crash)
    patch.setattr(Machine, "repair", noted_repair)
    patch.setattr(DeviceMemory, "load", checked_load)


def check_census(built):
    """Check that every query that was sent is somewhere, and in one place."""
    census = built.log.census(built.env.arrived)
    assert sum(census.values()) == built.env.arrived + built.log.sent, "a query is lost, or in two states"
    if built.fleet is not None:
        in_places = sum(place.load for place in built.fleet.pool.dispatchers)
        assert in_places >= census["queued"] + census["running"], "a place has lost count of its queries"


def check_record(record, down=None):
    """Check the columns of a run: times in order, none answered by a worker that was down, everybody's books."""
    answered = record.outcome == ANSWERED
    assert (record.sent_s[answered] <= record.started_s[answered]).all()
    assert (record.started_s[answered] <= record.finished_s[answered]).all()
    assert (record.finished_s[answered] <= record.delivered_s[answered]).all()
    assert (record.variant[answered] >= 0).all()
    assert (record.worker[answered] >= 0).all()
    assert (record.busy_s <= record.paid_s + 1e-9).all()
    for row in np.flatnonzero(answered):
        for begin, end in (down or {}).get(int(record.worker[row]), []):
            assert record.finished_s[row] <= begin or record.finished_s[row] > end, "answered by a worker that is down"


def check_result(result):
    """Check what a whole run leaves: every account's books, every budget, and a summary of finite numbers."""
    scenario, record, summary = result.scenario, result.record, result.summary
    check_record(record)
    columns = [record.sent_s, record.account, record.variant, record.delivered_s, record.price]
    assert {len(column) for column in columns} == {len(record.outcome)}
    assert np.isfinite(record.sent_s).all()
    assert (record.outcome < len(OUTCOMES)).all()
    attacking = np.zeros(len(record.outcome), dtype=bool)
    for attack in result.attack_records:
        adversary, mine = scenario.adversary[attack.name], np.isin(record.account, attack.accounts)
        assert not (attacking & mine).any(), "two attacks share an account"
        attacking |= mine
        assert len(attack.queries) == mine.sum() <= adversary.budget.queries, "an attack goes beyond its budget"
        late = record.sent_s[mine] > adversary.start_s + adversary.budget.duration_s
        assert not late.any(), "an attack goes on after its time"
    assert np.array_equal(attacking, record.attacking)
    json.dumps(summary.to_dict(), allow_nan=False)
    window = record.sent_s >= record.warmup_s
    for traffic, mine in ((summary.benign, ~attacking), (summary.attacker, attacking)):
        counts = np.bincount(record.outcome[window & mine], minlength=len(OUTCOMES))
        assert dict(zip(OUTCOMES, counts.tolist(), strict=True)) == {
            outcome: traffic.outcomes.get(outcome, 0) for outcome in OUTCOMES
        }
        assert traffic.sent == counts.sum()


SOMETIMES = {
    "a copy worked in vain",
    "an ensemble voted",
    "the load chose",
    "a withdrawn model was replaced",
    "a batch was interrupted",
    "a worker was stopped",
    "a worker was added",
    "a batch was interrupted, and a worker was stopped",
    "a query gave up its place",
    "weights came and went",
    "batches shared a device",
    "messages took time",
    "a query outlived a crash",
    "a defense refused a query",
    "a defense flagged an account",
    "cores of a frontend were taken",
    "crash",
    "slow-down",
    "link-loss",
    "frontend-restart",
    "model-withdrawal",
}
"""What a fuzz of the fleet is to reach, each at least once."""


def sometimes(record, policy, groups):
    """Return what of ``SOMETIMES`` a run shows in its columns.

    Args:
        record: of the run.
        policy: the operator, or the scenario's policies.
        groups: the worker groups by name.
    """
    zoo, answered = record.zoo, record.outcome == ANSWERED
    of_worker = [group for group in groups.values() for _ in range(group.most)]
    number = [number for group in groups.values() for number in range(group.most)]
    nested, shared = _overlaps(record, of_worker)
    interrupted = nested and isinstance(policy.discipline, PreemptivePriority)
    stopped = policy.scaling is not None and ((record.batches > 0) & (record.paid_s < record.horizon_s - 1e-9))
    stopped = bool(np.any(stopped & (np.array(number) < [group.count for group in of_worker])))
    found = {
        "a copy worked in vain": policy.hedge_after_s is not None and record.copies > 0,
        "an ensemble voted": any(len(zoo.members(variant)) > 1 for variant in np.unique(record.variant[answered])),
        "the load chose": _chosen_by_load(record, policy.selection),
        "a withdrawn model was replaced": _replaced(record),
        "a batch was interrupted": interrupted,
        "a worker was stopped": stopped,
        "a worker was added": any(
            batches and number >= group.count
            for batches, number, group in zip(record.batches, number, of_worker, strict=True)
        ),
        "a batch was interrupted, and a worker was stopped": interrupted and stopped,
        # Admission decides on arrival; what is shed later had been let in, unless a defense takes time.
        "a query gave up its place": not any(one.cpu_s or one.client_s or _pads(one) for one in record.defenses)
        and ((record.outcome == SHED) & (record.delivered_s > record.arrived_s)).any(),
        "weights came and went": any(
            group.swapping is not None and _served_bytes(record, worker) > group.memory_bytes
            for worker, group in enumerate(of_worker)
        ),
        "batches shared a device": shared,
        "messages took time": (record.arrived_s > record.sent_s).any(),
        "a query outlived a crash": any(
            (answered & (record.arrived_s < out.start_s) & (record.started_s >= out.end_s)).any()
            for out in record.outages
            if out.kind == "crash"
        ),
        "a defense refused a query": any(one.refused for one in record.defenses),
        "a defense flagged an account": any(one.flags for one in record.defenses),
        "cores of a frontend were taken": any(one.cpu_s for one in record.defenses),
    }
    return {what for what, seen in found.items() if seen} | {outage.kind for outage in record.outages}


def _pads(defense):
    return defense.kind in {"latency-padding", "guard"}


def _overlaps(record, of_worker):
    """Return whether a batch ran inside another on a worker that runs one at a time, and beside one elsewhere."""
    nested = shared = False
    for worker, group in enumerate(of_worker):
        mine = (record.outcome == ANSWERED) & (record.worker == worker)
        spans = sorted({(s, f) for s, f in zip(record.started_s[mine], record.finished_s[mine], strict=True)})
        over = any(after[0] < before[1] for before, after in pairwise(spans))
        nested |= over and group.streams == 1
        shared |= over and group.streams > 1
    return nested, shared


def _chosen_by_load(record, selection):
    """Return whether a selection that looks at the cluster chose another variant than on an idle one."""
    if not isinstance(selection, AdaptiveSelection) or record.outages:
        return False
    spec = record.rewritten_min_accuracy, record.rewritten_max_latency_s
    idle = selection.chooser(record.zoo)(*spec, np.full(len(record.outcome), 0.5))
    return bool(((record.outcome == ANSWERED) & (record.variant != idle)).any())


def _replaced(record):
    """Return whether a query that a withdrawn model could have served was answered by another."""
    for outage in record.outages:
        if outage.kind == "model-withdrawal":
            end_s = np.inf if np.isnan(outage.end_s) else outage.end_s
            during = (record.arrived_s > outage.start_s) & (record.arrived_s < end_s) & (record.outcome == ANSWERED)
            for variant, facts in enumerate(record.zoo.variants):
                meets = record.rewritten_min_accuracy <= facts.accuracy
                meets &= record.rewritten_max_latency_s >= record.zoo.latencies_s[variant]
                if facts.model == outage.target and (during & meets).any():
                    return True
    return False


def _served_bytes(record, worker):
    """Return the memory of all variants that a worker answered with."""
    mine = (record.outcome == ANSWERED) & (record.worker == worker)
    return sum(record.zoo.variants[variant].memory_bytes for variant in np.unique(record.variant[mine]))


@contextmanager
def watched_runs(down, steps):
    """Check every query and every worker of the runs inside, at ten times in each and at its end."""
    build = running.build
    with pytest.MonkeyPatch.context() as patch:
        watch(patch, down, steps)
        patch.setattr(simulation, "CHUNKS", 10)
        built = []

        def noted(scenario):
            down.clear()
            built[:] = [build(scenario)]
            return built[0]

        patch.setattr(running, "build", noted)
        yield lambda _: check_census(built[0].cluster)
