"""What numbers of a run are worth: percentiles of too few answers or cut off by its end, fairness, and windows."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import cluster, front_zoo, one_variant, queries, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import by_bin, measured, steady_from_s, summarize
from analysis.percentiles import MOVED, QUANTILES, answers_needed, percentiles
from analysis.report import run_tables
from policies import Greedy, OneAtATime
from sim import OUTCOMES, Crash
from zoo import LatencyProfile, Variant, Zoo

ANSWERED = OUTCOMES.index("answered")


def overloaded(until_s: float | None, load: float = 2.0):
    """One server of 10 ms, asked evenly for 20 s."""
    built = cluster(one_variant(0.01), queries(np.arange(0.0, 20.0, 0.01 / load)), batching=OneAtATime())
    if until_s is None:
        built.settle()
    else:
        built.env.run(until=until_s)
    return built.record()


def of_benign(summary):
    """Return what the table of a run shows of the benign users, by the header."""
    table = run_tables(summary.to_dict())[0]
    (row,) = (row for row in table.rows if row[0] == "benign")
    return dict(zip(table.header, row, strict=True))


def test_a_percentile_that_the_end_cuts_off_is_a_lower_bound():
    cut, whole = (summarize(overloaded(until), [], "s", 1) for until in (20.0, None))
    assert cut.benign.latency_s["p99"] == pytest.approx(9.9, abs=0.05)
    assert whole.benign.latency_s["p99"] == pytest.approx(19.8, abs=0.05)
    assert set(cut.benign.latency_at_least_s) == set(QUANTILES)
    assert cut.benign.latency_at_least_s["p99"] == pytest.approx(9.9, abs=0.05)
    assert cut.notes == (
        "benign: queries unfinished at the end could raise p50, p90, p95, p99, p999 of latency, marked ≥",
    )
    assert of_benign(cut)["p99 (ms)"].startswith("≥ 9,")
    assert whole.benign.latency_at_least_s == {}
    assert whole.notes == ()
    assert of_benign(whole)["p99 (ms)"].startswith("19,")


def test_a_stable_run_has_no_mark():
    summary = summarize(overloaded(19.999, load=0.5), [], "s", 1)
    assert summary.benign.outcomes["unfinished"] <= 1
    assert summary.benign.latency_at_least_s == {}
    assert summary.notes == ()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 0.01), min_size=1, max_size=120),
    st.floats(0.02, 1.0),
    st.sampled_from([Greedy(1), Greedy(4)]),
)
def test_marks_are_true_of_what_comes(gaps, until_s, batching):
    """What a run shows is checked against the same queries served to the end."""
    sent_s = np.cumsum(gaps)
    built = cluster(front_zoo(), queries(sent_s), batching=batching)
    built.env.run(until=until_s)
    cut = measured(built.record(), attacking=False)
    whole = measured(simulate(front_zoo(), queries(sent_s[: cut.sent]), batching=batching), attacking=False)
    found = percentiles(cut.latency_s, cut.age_s)
    for name, percentile in found.items():
        assert percentile.few == (int(cut.answered.sum()) < 1 / (1 - QUANTILES[name]) - 1e-6)
        last_s = float(np.quantile(whole.latency_s, QUANTILES[name]))
        if percentile.at_least_s is not None:
            assert percentile.at_least_s <= min(percentile.value_s, last_s + 1e-12)
        else:
            assert last_s <= percentile.value_s * (1 + MOVED) + 1e-12


@pytest.mark.parametrize(("name", "needed"), [("p50", 2), ("p90", 10), ("p95", 20), ("p99", 100), ("p999", 1000)])
def test_a_percentile_needs_its_answers(name, needed):
    assert answers_needed(QUANTILES[name]) == needed
    for n, few in ((needed - 1, True), (needed, False)):
        record = simulate(one_variant(0.001), queries(np.arange(n) * 1.0), batching=OneAtATime())
        summary = summarize(record, [], "s", 1)
        assert (name in summary.benign.latency_few) == few
        assert any(f"{name} of latency" in note or f"{name}," in note for note in summary.notes) == few
    assert summary.benign.latency_at_least_s == {}


def test_few_answers_are_marked_in_the_table():
    summary = summarize(simulate(one_variant(0.001), queries([0.0, 1.0, 2.0])), [], "s", 1)
    assert summary.notes == (
        "benign: p90, p95, p99, p999 of latency of fewer answers than needed (10, 20, 100, 1,000), marked *",
    )
    row = of_benign(summary)
    assert (row["p50 (ms)"], row["p99 (ms)"]) == ("1.0", "1.0*")


# --- fairness by demand -----------------------------------------------------------------------------------------------


def test_fairness_can_be_judged_by_demand():
    # One account asks five times as much, and a third of what each asks is answered in time to be served at all.
    account = np.repeat([0, 1], [300, 60])
    record = simulate(one_variant(), queries(np.zeros(360), account=account))
    answered = np.isin(np.arange(360), [*range(100), *range(300, 320)])
    record = replace(record, outcome=np.where(answered, ANSWERED, OUTCOMES.index("expired")).astype(np.uint8))
    benign = summarize(record, [], "s", 1).benign
    assert benign.jain_index == pytest.approx(120**2 / (2 * (100**2 + 20**2)))
    assert benign.jain_index_by_demand == pytest.approx(1.0)
    one_sided = replace(record, outcome=np.where(account == 0, ANSWERED, OUTCOMES.index("expired")).astype(np.uint8))
    assert summarize(one_sided, [], "s", 1).benign.jain_index_by_demand == pytest.approx(0.5)


# --- what is windowed -------------------------------------------------------------------------------------------------


def test_an_outage_in_the_warm_up_is_seen():
    crash = {"crash": Crash(at_s=(2.0,), for_s=1.0)}
    built = cluster(one_variant(0.01), queries(np.arange(0.0, 20.0, 0.02), latency_s=0.1), faults=crash)
    built.env.run(until=20.0)
    early, late = (
        summarize(replace(built.record(), warmup_s=warmup_s), [], "s", 1).outages[0].recovery_s
        for warmup_s in (0.0, 10.0)
    )
    # A second of arrivals waits, which the other half of the server works off in another.
    assert early == late
    assert 1.5 < early < 2.5


def test_what_is_still_under_way_is_no_missed_deadline():
    # The outage strikes nobody, and the queries of the last second are late by far less than their budgets of 5 s.
    faults = {"crash": Crash(at_s=(3.0,), for_s=0.1)}
    sent_s = np.concatenate([np.arange(0.0, 2.0, 0.1), np.arange(8.0, 10.0, 0.1)])
    built = cluster(one_variant(0.9), queries(sent_s, latency_s=25.0), faults=faults, batching=Greedy(64))
    built.env.run(until=10.0)
    record = built.record()
    assert (record.outcome == OUTCOMES.index("unfinished")).any()
    bins = by_bin(measured(record, attacking=False), 0.1)
    assert bins.sent.sum() == 40
    assert bins.decided.sum() < 40
    assert np.nanmin(bins.attainment) == 1.0
    assert summarize(record, [], "s", 1).outages[0].recovery_s == 0.0


def test_a_bin_that_the_end_cuts_counts_its_own_length():
    built = cluster(one_variant(0.01), queries(np.arange(0.0, 2.0, 0.1), latency_s=1.0))
    built.env.run(until=1.75)
    bins = by_bin(measured(built.record(), attacking=False), 1.0)
    assert bins.goodput_per_s == pytest.approx([10.0, 8 / 0.75])


def test_the_warm_up_is_found_from_answers_alone():
    # Every second query is infeasible and is told so at once, which says nothing about how long answers take.
    zoo = Zoo("one", (Variant("m", "gpu", 0.5, 0.0, LatencyProfile((1,), (0.01,))),))
    sent_s = np.arange(0.0, 20.0, 0.005)
    accuracy = np.where(np.arange(len(sent_s)) % 2, 0.9, 0.1)
    both = simulate(zoo, queries(sent_s, accuracy=accuracy))
    alone = simulate(zoo, queries(sent_s[::2], accuracy=0.1))
    assert steady_from_s(both) == steady_from_s(alone)
