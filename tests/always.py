"""What holds in every run, whatever it is made of: checked while it runs and in what it leaves."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from experiments import running
from sim import OUTCOMES
from sim.ledger import Ledger
from sim.lifecycle import STATES
from sim.machine import Machine
from sim.memory import DeviceMemory

ANSWERED = OUTCOMES.index("answered")


def watch(patch, down, steps):
    """Check every start of a batch and every load as it happens, and note when each worker is down.

    Args:
        patch: pytest's monkeypatch.
        down: filled with the times of every worker's crashes: lists of a beginning and an end.
        steps: filled with the transitions that were seen.
    """
    start, crash, repair, load, move = Machine.start, Machine.crash, Machine.repair, DeviceMemory.load, Ledger.move

    def checked_start(machine, batch):
        assert machine.up, "a batch starts on a worker that is down"
        assert machine.active, "a batch starts on a worker that is not in service"
        assert machine.memory is None or batch.variant in machine.memory.resident, "a batch starts without its weights"
        start(machine, batch)
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
        in_places = sum(place.load for place in built.fleet.dispatchers)
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


@contextmanager
def watched_runs(down, steps):
    """Check every query and every worker of the runs inside, at ten times in each and at its end."""
    build = running.build
    with pytest.MonkeyPatch.context() as patch:
        watch(patch, down, steps)
        patch.setattr(running, "CHUNKS", 10)
        built = []

        def noted(scenario):
            down.clear()
            built[:] = [build(scenario)]
            return built[0]

        patch.setattr(running, "build", noted)
        yield lambda _: check_census(built[0].cluster)
