"""Searches for fronts, over random fronts: what they find, and how many questions it takes them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adversaries import CellCentre, Grid, MostAccurateFirst, Search, Sharing
from analysis import estimate
from zoo.pareto import FeasibleSets


def searched(search: Search, front: FeasibleSets, grid: Grid):
    """Search a front without a cluster; return how many questions it took, and the models that one spec selects."""
    questions, found = 0, []

    def ask(spec):
        nonlocal questions
        questions += 1
        return bool(front.of(spec.min_accuracy, spec.max_latency_s))
        yield

    assert list(search.search(ask, grid, found)) == []
    sets = [front.of(spec.min_accuracy, spec.max_latency_s) for spec in found]
    return questions, {models[0] for models in sets if len(models) == 1}


def most_questions(grid: Grid, models: int) -> int:
    """Return the bound of the plain search: accuracy steps 0 .. n and latency steps 1 .. n, halved for each model."""
    per_model = 1 + math.ceil(math.log2(grid.accuracy_steps + 1)) + math.ceil(math.log2(grid.latency_steps))
    return models * per_model + 1


GRIDS = st.builds(
    Grid,
    st.sampled_from([0.01, 0.03, 0.1, 0.3, 1.0]),
    st.sampled_from([0.0001, 0.0003, 0.007, 0.1]),
    st.just(0.1),
)
PLACES = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(1, 1000)),
    min_size=1,
    max_size=12,
    unique_by=(lambda place: place[0], lambda place: place[1]),
)


def front_of(places):
    """Return a front of models at thousandths of an accuracy and tenths of a millisecond, up to 1 and 100 ms."""
    accuracies = sorted(accuracy for accuracy, _ in places)
    latencies = sorted(latency for _, latency in places)
    return FeasibleSets([a / 1000 for a in accuracies], [l / 10_000 for l in latencies])


@given(PLACES, GRIDS)
def test_the_plain_search_keeps_its_bound_and_finds_the_most_accurate_model(places, grid):
    """Wherever the models lie, an accuracy of 1 and the cap itself included: the best one selects its spec."""
    front = front_of(places)
    for search in (MostAccurateFirst(), Sharing()):
        found = []
        questions = 0

        def ask(spec):
            nonlocal questions
            questions += 1
            return bool(front.of(spec.min_accuracy, spec.max_latency_s))
            yield

        list(search.search(ask, grid, found))
        best = max(front.accuracies)
        assert 0 <= best - found[0].min_accuracy < grid.accuracy_step + 1e-9
        if search.kind == "most-accurate-first":
            assert questions <= most_questions(grid, len(found))


@pytest.mark.parametrize("grid", [Grid(), Grid(0.03, 0.0003)], ids=["even", "uneven"])
def test_a_model_at_the_very_corner_of_the_plane_is_found(grid):
    """Accuracy 1 at the cap, beside one just less accurate and one just faster than a step."""
    front = FeasibleSets([0.9, 0.99 if grid.accuracy_step == 0.01 else 0.98, 1.0], [0.01, 0.0995, 0.1])
    for search in (MostAccurateFirst(), Sharing(), CellCentre()):
        assert searched(search, front, grid)[1] == {0, 1, 2}, search


def random_fronts(count, models, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield FeasibleSets(np.sort(rng.random(models)), np.sort(rng.random(models) * 0.1))


def test_the_middle_of_a_cell_selects_every_model_that_its_corner_selects():
    """Models anywhere, closer than a step in accuracy or in latency among them: none is lost by aiming at the middle.

    A tenth of the fronts have two models in one step; to lie in one step and still within a 1024th of it of the other
    is a matter of one front in ten thousand.
    """
    for number, front in enumerate(random_fronts(300, 12, 5)):
        _, corners = searched(MostAccurateFirst(), front, Grid())
        _, middles = searched(CellCentre(), front, Grid())
        assert corners <= middles, number


@given(PLACES, GRIDS)
def test_no_model_is_lost_that_lies_a_tenth_of_a_step_from_the_others(places, grid):
    front = front_of(places)
    assert searched(MostAccurateFirst(), front, grid)[1] <= searched(CellCentre(), front, grid)[1]


def test_sharing_pays_on_fronts_of_many_models_and_not_of_few():
    """Over 60 random fronts each, with intervals: it takes more questions up to four models, and less from seven on."""
    for models in (1, 2, 3, 4, 7, 8, 12):
        counts = [
            [searched(search, front, Grid())[0] for search in (MostAccurateFirst(), Sharing())]
            for front in random_fronts(60, models, models)
        ]
        saved = estimate([float(plain - sharing) for plain, sharing in counts])
        if models <= 4:
            assert saved.mean + saved.half_width < 0, models
        else:
            assert saved.mean - saved.half_width > 0, models
