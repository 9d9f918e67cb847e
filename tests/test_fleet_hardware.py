"""The fleet by order-of-service tables, where hardware takes part: workers that fail, memory, shared devices, links."""

import pytest
from conftest import cluster, one_variant, queries
from test_fleet import Turns, finished, models, outcomes, rows

from policies import Edf, FastestFeasible, Fifo, RoundRobin, SharedQueue
from sim import Crash, FrontendRestart, Link, LinkLoss, Network, SlowDown, Spec, Swapping
from zoo import LatencyProfile, Variant, Zoo

# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("discipline", "expected"),
    [
        # Worker 0 fails at .5 s with query 0 in a batch and 3 waiting; they go to workers 1 and 2, which the new router
        # knows as its first and second. At worker 1 query 4 waits already.
        (Fifo(), [(1, 2.1, 3.1), (1, 0.1, 1.1), (2, 0.2, 1.2), (2, 1.2, 2.2), (1, 1.1, 2.1), (0, 3.0, 4.0)]),
        # Query 0 has the earlier deadline of the two.
        (Edf(), [(1, 1.1, 2.1), (1, 0.1, 1.1), (2, 0.2, 1.2), (2, 1.2, 2.2), (1, 2.1, 3.1), (0, 3.0, 4.0)]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_a_lost_worker_held_goes_to_the_others(discipline, expected):
    record = finished(
        one_variant(),
        queries([0.0, 0.1, 0.2, 0.3, 0.4, 3.0], latency_s=9.0),
        3,
        discipline=discipline,
        routing=Turns((0, 1, 2, 0, 1)),
        faults={"c": Crash(at_s=(0.5,), for_s=2.0, workers=("gpu-0",))},
    )
    assert rows(record) == expected
    assert record.busy_s.tolist() == pytest.approx([1.5, 3.0, 2.0])
    assert record.paid_s.tolist() == [200.0] * 3  # a broken worker is paid for
    assert [(outage.target, outage.start_s, outage.end_s) for outage in record.outages] == [("gpu-0", 0.5, 2.5)]


def test_a_crash_of_all_loses_what_ran_and_keeps_what_waits():
    """Both workers are down from .5 to 1.5 s: one try is used up, and what waited starts when they are back."""
    record = finished(
        one_variant(),
        queries([0.0, 0.1, 0.2, 0.7]),
        2,
        routing=SharedQueue(),
        retries=0,
        faults={"c": Crash(at_s=(0.5,), for_s=1.0)},
    )
    assert outcomes(record) == ["failed", "failed", "answered", "answered"]
    assert rows(record) == [(0, 0.0, None), (1, 0.1, None), (0, 1.5, 2.5), (1, 1.5, 2.5)]
    assert record.delivered_s.tolist() == [0.5, 0.5, 2.5, 2.5]


def test_two_streams_share_a_device_that_slows_down():
    """Two at once go 1.5 times as fast as one, .75 each; from 1 to 2 s the device has half its speed."""
    record = finished(
        one_variant(),
        queries([0.0, 0.5]),
        streams=2,
        stream_gain=0.5,
        faults={"slow": SlowDown(at_s=(1.0,), for_s=1.0, speed=0.5)},
    )
    # Query 0: .5 alone and .375 beside query 1 are done at 1 s, and .125 is left at .375 a second. Query 1 has .5 left
    # then, does a third of a second's work alone at half speed until 2 s, and the last sixth at full speed.
    assert record.finished_s.tolist() == pytest.approx([4 / 3, 2 + 1 / 6])
    assert record.busy_s.tolist() == pytest.approx([2 + 1 / 6])


def test_two_causes_slow_a_worker_down_by_both():
    """At half speed from 0 to 4 s and at a fifth of that from 1 to 2 s: .5 + .1 + .4 of the work by 2.8 s."""
    faults = {
        "half": SlowDown(at_s=(0.0,), for_s=4.0, speed=0.5),
        "fifth": SlowDown(at_s=(1.0,), for_s=1.0, speed=0.2),
    }
    record = finished(one_variant(), queries([0.0, 5.0]), faults=faults)
    assert record.finished_s.tolist() == pytest.approx([2.8, 6.0])


# --- memory -----------------------------------------------------------------------------------------------------------

# Three models of 1 GiB each and 1, 2 and 3 s; a load takes .25 s and 2 s for the GiB.
THREE = Zoo(
    "three",
    tuple(Variant(f"m{i}", "gpu", 0.6 + i / 10, 2.0**30, LatencyProfile((1, 8), (1.0 + i, 1.0 + i))) for i in range(3)),
)


def swapped(zoo, arrivals, workers=1, *, preload=True, **settings):
    swapping = Swapping(gib_per_s=0.5, base_s=0.25, preload=preload)
    return finished(zoo, arrivals, workers, selection=FastestFeasible(), swapping=swapping, memory_gib=2.0, **settings)


@pytest.mark.parametrize(
    ("preload", "expected"),
    [
        # m0 and m1 are loaded. Query 1 asks for m2 at .1 s, which takes the place of m1, since m0 computes; it starts
        # at 2.35 s. Then m1 takes the place of m0 until 4.6 s, and query 2 starts when m2 is done. m0 comes back for
        # query 3 at 8 s, in the place of m2, which was used before m1.
        (True, [(0, 0.0, 1.0), (0, 2.35, 5.35), (0, 5.35, 7.35), (0, 10.25, 11.25)]),
        # The channel loads m0 until 2.25, m2 until 4.5 and m1 until 6.75 s, in the place of m0.
        (False, [(0, 2.25, 3.25), (0, 4.5, 7.5), (0, 7.5, 9.5), (0, 10.25, 11.25)]),
    ],
)
def test_one_model_after_another_is_loaded(preload, expected):
    record = swapped(THREE, queries([0.0, 0.1, 0.2, 8.0], [0.55, 0.75, 0.65, 0.55], 99.0), preload=preload)
    assert rows(record) == expected


# --- the network ------------------------------------------------------------------------------------------------------

# From home 10 ms to frontend 0 and 12 to frontend 1; from frontend 0 1 ms to worker 0 and 5 to worker 2; from frontend
# 1 2 ms to worker 1. The other ways lead over home.
LINKS = (
    Link(("home", "frontend-0"), 0.010),
    Link(("home", "frontend-1"), 0.012),
    Link(("frontend-0", "gpu-0"), 0.001),
    Link(("frontend-0", "gpu-2"), 0.005),
    Link(("frontend-1", "gpu-1"), 0.002),
)
NETWORK = Network(LINKS, {"home": 1.0}, query_bytes=0, answer_bytes=0)


def test_every_way_takes_its_own_time():
    """Frontend 0 is down from .5 to .7 s, and the link to worker 2 from .9 to 3 s."""
    record = finished(
        models((0.6, 1.0)),
        queries([0.0, 0.1, 0.2, 0.3, 0.6, 1.3], [0.5, 0.5, 0.5, 0.9, 0.5, 0.5]),
        3,
        routing=RoundRobin(),
        network=NETWORK,
        frontends=2,
        faults={
            "restart": FrontendRestart(at_s=(0.5,), for_s=0.2, frontends=(0,)),
            "cut": LinkLoss(at_s=(0.9,), for_s=2.1, between=("frontend-0", "gpu-2")),
        },
    )
    assert record.arrived_s.tolist() == pytest.approx([0.01, 0.11, 0.21, 0.31, 0.612, 1.31])
    assert rows(record) == [
        (0, 0.011, 1.011),
        (1, 0.134, 1.134),  # back to home, to frontend 1 and on to worker 1: 24 ms
        (2, 0.215, 1.215),
        (-1, None, None),  # infeasible, which the frontend says at once
        (0, 1.011, 2.011),  # by frontend 1, whose first turn it is; it waits for query 0 from .635 s on
        (0, 2.011, 3.011),  # frontend 0 begins its turns again; it waits from 1.311 s on
    ]
    # The answer to query 2 finds no way until its 18th try, .1 s each, at 3.015 s.
    delivered_s = [1.011 + 0.011, 1.134 + 0.014, 3.015 + 0.015, 0.32, 2.011 + 0.011, 3.011 + 0.011]
    assert record.delivered_s.tolist() == pytest.approx(delivered_s)
    assert outcomes(record) == ["answered"] * 3 + ["infeasible"] + ["answered"] * 2


def test_a_worker_that_is_cut_off_gets_no_more_and_answers_later():
    """The link to worker 1 is lost at .05 s: its answer waits for a try when that is back, others go elsewhere."""
    record = finished(
        models((0.6, 1.0)),
        queries([0.0, 0.1]),
        3,
        routing=Turns((1, 1, 0)),
        network=Network(LINKS, {"home": 1.0}, query_bytes=0, answer_bytes=0, retry_s=0.3),
        frontends=2,
        faults={"cut": LinkLoss(at_s=(0.05,), for_s=1.0, between=("frontend-1", "gpu-1"))},
    )
    # Query 0 arrives at worker 1 at .034 s, before the cut, and its answer leaves at 1.034 + .3 s.
    # Query 1 is routed at .11 s by a router that knows of workers 0 and 2 alone: 5 ms to the second of them.
    assert rows(record) == [(1, 0.034, 1.034), (2, 0.115, 1.115)]
    assert record.delivered_s.tolist() == pytest.approx([1.334 + 0.014, 1.115 + 0.015])


def test_a_client_learns_of_every_end_when_the_network_has_brought_it():
    """An answer, a refusal at the frontend, and a query whose worker fails at 2 s: told 10 ms after it is known."""
    built = cluster(
        models((0.6, 1.0)),
        queries([]),
        3,
        routing=Turns((1,)),
        network=NETWORK,
        frontends=2,
        closed_loop=3,
        retries=0,
        faults={"crash": Crash(at_s=(2.0,), for_s=100.0)},
    )
    client, seen = built.client("thief", 1, 3), []

    def ask():
        for accuracy in (0.5, 0.9, 0.5):
            answer = yield client.ask(-1, Spec(accuracy, 5.0))
            seen.append((answer.outcome, round(built.env.now, 6)))

    built.env.process(ask())
    built.env.run(until=50.0)
    # Worker 1 serves the first: 10 and 24 ms there, 14 back. The refusal takes 10 ms there and 10 back.
    assert seen == [("answered", 1.048), ("infeasible", 1.068), ("failed", 2.01)]
