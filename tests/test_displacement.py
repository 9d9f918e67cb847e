"""A bounded queue that gives up the query that its discipline would serve last."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import cluster, one_variant, queries, simulate
from hypothesis import given
from hypothesis import strategies as st

from policies import DeficitRoundRobin, Edf, Fifo, Lifo, QueueBound, StaticPriority, Vtc
from sim import OUTCOMES
from sim.contracts import Misfit

PATIENCE_S = [50.0, 10.0, 20.0, 5.0, 30.0, 15.0, 4.0]
CLASSES = (0, 1, 2, 1, 2, 2, 0)


def outcomes(record):
    return "".join(OUTCOMES[code][0] for code in record.outcome)


def seven(accounts=0):
    return queries(0.1 * np.arange(7), latency_s=PATIENCE_S, account=accounts)


@pytest.mark.parametrize(
    ("discipline", "displace", "ends", "order"),
    [
        # The first runs for a second while the others come, and two may wait.
        (Edf(), False, "aaassss", [0, 1, 2]),
        (Edf(), True, "assassa", [0, 6, 3]),  # 3 takes the place of 2, 6 that of 1; 4 and 5 are the last themselves
        (Lifo(), False, "aaassss", [0, 2, 1]),
        (Lifo(), True, "assssaa", [0, 6, 5]),  # each newcomer takes the place of the oldest
        (Fifo(), True, "aaassss", [0, 1, 2]),  # nobody comes before those that wait
        (
            StaticPriority(),
            True,
            "aassssa",
            [0, 6, 1],
        ),  # 3 takes the place of 2, and 6 that of 3, the later of its class
    ],
)
def test_who_is_given_up(discipline, displace, ends, order):
    arrivals = replace(seven(np.arange(7)), priorities=np.array(CLASSES))
    record = simulate(one_variant(1.0), arrivals, discipline=discipline, admission=QueueBound(3, displace=displace))
    assert outcomes(record) == ends
    answered = np.flatnonzero(record.outcome == OUTCOMES.index("answered"))
    assert answered[np.argsort(record.started_s[answered])].tolist() == order
    assert record.started_s[order].tolist() == pytest.approx([0.0, 1.0, 2.0])
    shed = np.flatnonzero(record.outcome == OUTCOMES.index("shed"))
    assert (record.delivered_s[shed] < 1.0).all()


@pytest.mark.parametrize("discipline", [Vtc(), DeficitRoundRobin()])
def test_a_discipline_without_an_order_of_queries_is_refused(discipline):
    with pytest.raises(Misfit, match="displace needs a discipline that orders queries by a key") as wrong:
        cluster(one_variant(), seven(), discipline=discipline, admission=QueueBound(3, displace=True))
    assert wrong.value.place == ("policy", "admission", "displace")


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 9)), min_size=1, max_size=40),
    st.integers(1, 5),
    st.sampled_from([Edf(), Lifo(), Fifo(), StaticPriority()]),
)
def test_no_more_are_shed_than_without(sent, most, discipline):
    """One place, one server, equal times: displacing changes who is shed, and not how many."""
    sent = sorted(sent)
    arrivals = queries([s for s, _ in sent], latency_s=[max_s for _, max_s in sent], account=np.arange(len(sent)))
    arrivals = replace(arrivals, priorities=np.arange(len(sent)) % 3)
    counts = [
        outcomes(
            simulate(one_variant(0.3), arrivals, discipline=discipline, admission=QueueBound(most, displace=displace))
        )
        for displace in (False, True)
    ]
    assert counts[0].count("s") == counts[1].count("s")
    assert counts[0].count("a") == counts[1].count("a")
