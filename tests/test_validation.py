"""Theory against simulation: a small version of every row of ``siegelab validate``, and of what turns rows red."""

import json
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis import queueing
from experiments.validation.comparison import (
    Validation,
    Verdict,
    validate,
    validation_json,
    validation_page,
    validation_table,
)
from experiments.validation.systems import rows
from sim import stream
from sim.engine.lifecycle import CODE, RUNNING
from sim.engine.queues import FifoQueue
from sim.fast.station import Station
from sim.fleet.path import Fleet

SMALL = rows(scale=0.08)


class AtOnce:
    """Run everything here and now."""

    def submit(self, call, *arguments):
        future = Future()
        future.set_result(call(*arguments))
        return future


@pytest.mark.parametrize("row", SMALL, ids=lambda row: f"{row.system}, {row.load}: {row.quantity}")
def test_a_queue_agrees_with_theory(row):
    (verdict,) = validate([row], 8, AtOnce()).verdicts
    assert verdict.agrees, f"{verdict.estimate} against {row.theory}, {verdict.deviation:+.1f} standard errors"


def pick(*systems):
    return [row for row in SMALL if row.system in systems]


def verdicts(found):
    return {(v.row.system, v.row.load, v.row.quantity): v.agrees for v in found.verdicts}


def test_an_idle_worker_turns_rows_red(monkeypatch):
    """A worker that never works: M/M/8 becomes M/M/7."""
    hire = Station.hire

    def hire_but_one(station, worker, seconds, multipliers):
        if worker:
            hire(station, worker, seconds, multipliers)

    monkeypatch.setattr(Station, "hire", hire_but_one)
    found = validate([row for row in pick("M/M/8") if row.load == 0.8], 8, AtOnce())
    assert not any(verdicts(found).values())
    assert not found.passed


def test_a_reversed_order_turns_rows_red(monkeypatch):
    """Last come, first served has the same mean wait, and another tail."""
    monkeypatch.setattr(FifoQueue, "popleft", FifoQueue.pop)
    found = validate([row for row in pick("M/M/1") if row.load == 0.8], 8, AtOnce())
    agrees = {quantity: agree for (_, _, quantity), agree in verdicts(found).items()}
    assert agrees == {"mean wait (s)": True, "P(wait)": True, "P(wait > 0.05 s)": False}


def test_newcomers_in_a_running_batch_turn_rows_red(monkeypatch):
    """Whatever waits when a batch ends leaves with it, as far as there is room."""
    finished = Fleet.finished

    def finished_with_newcomers(fleet, machine, batch):
        place = fleet.pool.home[machine.number]
        queue = place.queues[batch.variant]
        joined = queue.take(min(len(queue), 8 - len(batch.rows)))
        for row in joined:
            fleet.ledger.move(row, CODE[RUNNING])
            fleet.ledger.started_s[row] = fleet.env.now
        batch.rows = [*batch.rows, *joined]
        if not queue:
            place._nonempty.pop(batch.variant, None)
        finished(fleet, machine, batch)

    row = next(row for row in pick("batches of up to 8") if row.load == 0.6 and "time" in row.quantity)
    # A second frontend changes nothing but the path, to the one where a batch can be tampered with.
    policy = replace(row.scenario.policy, frontends=2)
    row = replace(row, scenario=replace(row.scenario, policy=policy))
    assert validate([row], 8, AtOnce()).passed
    monkeypatch.setattr(Fleet, "finished", finished_with_newcomers)
    assert not validate([row], 8, AtOnce()).passed


# --- the statistics ---------------------------------------------------------------------------------------------------


def invented(errors, n=20):
    """Verdicts whose simulations lie that many standard errors above theory."""
    row = next(row for row in SMALL if row.kind == "equal")
    around = np.linspace(-1, 1, n) * 1e-3 * row.theory
    step = np.std(around, ddof=1) / np.sqrt(n)
    return Validation(tuple(Verdict(row, tuple(row.theory + around + error * step)) for error in errors))


def test_a_row_is_judged_by_its_standard_error():
    found = invented([0.0, 3.0, 6.0, -6.0])
    assert [round(v.deviation, 6) for v in found.verdicts] == [0.0, 3.0, 6.0, -6.0]
    assert [v.verdict for v in found.verdicts] == ["ok", "ok", "WRONG", "WRONG"]


def test_small_deviations_of_one_sign_are_no_bias_but_many_large_ones_are():
    assert invented([0.5] * 30).chi_square[2] > 0.99
    assert invented([2.0] * 30).chi_square[2] < 1e-6
    assert not invented([2.0] * 30).passed


def test_the_deviations_of_a_right_simulator_are_standard_normal():
    row = next(row for row in SMALL if row.kind == "equal")
    rng = stream(1, "invented")
    verdicts_ = [Verdict(row, tuple(rng.normal(row.theory, 0.1 * row.theory, 8))) for _ in range(800)]
    deviations = [verdict.normal_deviation for verdict in verdicts_]
    assert stats.kstest(deviations, "norm").pvalue > 1e-3


def test_the_table_the_page_and_the_json_say_the_same():
    found = invented([0.0, 9.0])
    table, entries = validation_table(found), validation_json(found)
    assert [row[-1] for row in table.rows] == [entry["verdict"] for entry in entries] == ["ok", "WRONG"]
    assert {"system", "quantity", "theory", "simulated", "half_width", "replications"} <= set(entries[0])
    json.dumps(entries, allow_nan=False)
    text = validation_page(found)
    assert "1 of 2 rows agree with theory" in text
    assert "p = 0.000" in text


# --- the closed forms -------------------------------------------------------------------------------------------------


def test_published_values():
    """Numbers of the literature that our formulas must give."""
    assert queueing.erlang_c(8, 6.4) == pytest.approx(0.4576, abs=5e-5)
    assert queueing.markov_wait_s(8, 64, 0.1) == pytest.approx(0.02860, abs=5e-6)
    assert queueing.markov_wait_tail(8, 64, 0.1, 0.05) == pytest.approx(0.2056, abs=5e-5)
    assert queueing.pollaczek_khinchine_s(8, 0.1, 0.0) == pytest.approx(0.2)
    assert queueing.pollaczek_khinchine_s(7, 0.1, 4.0) == pytest.approx(0.5833, abs=5e-5)
    found = queueing.finite_queue(8, 16, 100, 0.1)
    assert (found.loss, found.wait_s) == pytest.approx((0.21473, 0.06386), abs=5e-6)
    assert queueing.erlang_b(8, 8.0) == pytest.approx(0.23557, abs=5e-6)
    assert queueing.preemptive_times_s([3, 4], 0.1) == pytest.approx([0.14286, 0.47619], abs=5e-6)
    assert queueing.power_of_d_s(2, 0.9, 1.0) == pytest.approx(2.614, abs=5e-4)
    gated = queueing.batch_service(100, [0.020 + 0.005 * k for k in range(1, 9)])
    assert (gated.time_s, gated.batch_size) == pytest.approx((0.06900, 4.056), abs=5e-4)


@pytest.mark.parametrize(("servers", "share"), [(1, 0.5), (1, 0.9), (2, 0.2), (2, 0.8), (3, 0.9), (5, 0.5), (10, 0.95)])
def test_the_wait_for_constant_service_is_that_of_its_chain(servers, share):
    """From the other end: every service time c at most leave, and Poisson many come (Crommelin's own balance)."""
    states, load = 600, servers * share
    step = np.zeros((states, states))
    arrivals = stats.poisson.pmf(np.arange(states), load)
    for n in range(states):
        left = max(n - servers, 0)
        step[n, left:] = arrivals[: states - left]
        step[n, -1] += 1 - step[n].sum()
    system = np.vstack([step.T - np.eye(states), np.ones(states)])
    held = np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0] @ np.arange(states)
    by_little = (held / load - 1) * 0.1
    assert queueing.constant_wait_s(servers, load / 0.1, 0.1) == pytest.approx(by_little, rel=1e-6)


def test_formulas_agree_where_they_meet():
    for load in (0.1, 0.5, 0.9, 0.99):
        constant = queueing.pollaczek_khinchine_s(load / 0.1, 0.1, 0.0)
        assert queueing.constant_wait_s(1, load / 0.1, 0.1) == pytest.approx(constant, rel=1e-9)
    assert queueing.markov_wait_s(1, 80, 0.01) == pytest.approx(queueing.pollaczek_khinchine_s(80, 0.01, 1.0))
    far = queueing.finite_queue(3, 400, 200, 0.01)
    assert far.wait_s == pytest.approx(queueing.markov_wait_s(3, 200, 0.01))
    assert queueing.finite_queue(8, 8, 640, 0.01).loss == pytest.approx(queueing.erlang_b(8, 6.4))
    one = queueing.priority_waits_s([80], [0.01], [2e-4])
    assert one == pytest.approx([queueing.pollaczek_khinchine_s(80, 0.01, 1.0)])
    alone = queueing.batch_service(60, [0.01])
    assert alone.time_s == pytest.approx(0.01 + queueing.pollaczek_khinchine_s(60, 0.01, 0.0), rel=1e-6)
