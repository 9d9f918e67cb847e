"""Variants, latency profiles, the Pareto front, feasible sets and zoo files."""

import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import (
    AnswerTable,
    DataSet,
    FeasibleSets,
    LatencyProfile,
    Variant,
    Zoo,
    ZooError,
    affine_law,
    builtin_tables,
    load_table,
    pareto_front,
    read_zoo,
    write_zoo,
)
from zoo.units import scaled

points = st.lists(
    st.tuples(st.integers(0, 20).map(lambda k: k / 20), st.integers(1, 20).map(lambda k: k / 1000)),
    min_size=1,
    max_size=12,
)


def test_a_profile_is_linear_between_sizes_and_goes_on_with_its_last_slope():
    profile = LatencyProfile((2, 4, 8), (0.010, 0.014, 0.030))
    assert profile.seconds(10) == pytest.approx([0.008, 0.010, 0.012, 0.014, 0.018, 0.022, 0.026, 0.030, 0.034, 0.038])
    assert profile.batch_one_s == pytest.approx(0.008)


def test_a_profile_of_one_size_is_proportional():
    assert LatencyProfile((4,), (0.02,)).seconds(8) == pytest.approx(np.arange(1, 9) * 0.005)


def test_an_affine_law_is_the_law():
    assert affine_law(0.01, 0.8).seconds(48) == pytest.approx(0.01 * (0.8 + 0.2 * np.arange(1, 49)))


@pytest.mark.parametrize(
    ("sizes", "times", "message"),
    [
        ((), (), "equally long and not empty"),
        ((1, 2), (0.1,), "equally long"),
        ((0, 2), (0.1, 0.2), "increase strictly from at least 1"),
        ((2, 2), (0.1, 0.2), "increase strictly"),
        ((1,), (0.0,), "above 0 and finite, not 0.0"),
        ((1,), (float("nan"),), "above 0 and finite, not nan"),
    ],
)
def test_a_wrong_profile_says_what_is_wrong(sizes, times, message):
    with pytest.raises(ValueError, match=message):
        LatencyProfile(sizes, times)


def test_a_profile_that_falls_below_zero_is_refused():
    with pytest.raises(ValueError, match="profile more sizes"):
        LatencyProfile((1, 2), (0.02, 0.01)).seconds(8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": 1.2}, r"accuracy must be in \[0, 1\], not 1.2"),
        ({"memory_bytes": -1.0}, "memory_bytes must be at least 0"),
        ({"model": ""}, "needs a model and a device"),
    ],
)
def test_a_wrong_variant_says_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        Variant(
            **{"model": "m", "device": "gpu", "accuracy": 0.5, "memory_bytes": 0.0, "latency": affine_law(1, 0)}
            | change
        )


def dominated(index, plane):
    a, l = plane[index]
    return any(b >= a and k <= l and (b > a or k < l) for b, k in plane)


@given(points)
def test_the_front_is_what_nothing_dominates(plane):
    accuracy, latency = zip(*plane, strict=True)
    assert pareto_front(accuracy, latency).tolist() == [not dominated(i, plane) for i in range(len(plane))]


def test_twins_are_both_on_the_front_and_ties_are_not():
    accuracy = [0.8, 0.8, 0.8, 0.7]
    latency = [0.01, 0.01, 0.02, 0.01]
    assert pareto_front(accuracy, latency).tolist() == [True, True, False, False]


@given(points, st.floats(-0.1, 1.1), st.floats(0, 0.03))
def test_a_feasible_set_is_its_definition(plane, a, l):
    accuracy, latency = zip(*plane, strict=True)
    sets = FeasibleSets(accuracy, latency)
    expected = [i for i, (b, k) in enumerate(plane) if b >= a and k <= l]
    assert sorted(sets.of(a, l)) == expected
    found = sets.of(a, l)
    assert list(found) == sorted(found, key=lambda i: (latency[i], accuracy[i]))
    assert sets.counts[sets.cell(a, l)] == len(expected)


@given(points, st.floats(0, 1), st.floats(0, 0.03))
def test_on_a_front_a_cell_selects_one_model_exactly_where_psml_says(plane, a, l):
    accuracy, latency = map(np.array, zip(*plane, strict=True))
    front = pareto_front(accuracy, latency)
    steps = sorted({(float(k), float(b)) for b, k, on in zip(accuracy, latency, front, strict=True) if on})
    sets = FeasibleSets([b for _, b in steps], [k for k, _ in steps])
    for i, (latency_i, accuracy_i) in enumerate(steps):
        below = steps[i - 1][1] if i else -np.inf
        beyond = steps[i + 1][0] if i + 1 < len(steps) else np.inf
        alone = below < a <= accuracy_i and latency_i <= l < beyond
        assert (sets.of(a, l) == (i,)) == alone


def test_feasible_sets_need_two_equal_vectors():
    with pytest.raises(ValueError, match="two equal vectors"):
        FeasibleSets([0.5], [0.1, 0.2])


def test_a_zoo_refuses_twice_the_same_variant_and_no_variant():
    variant = Variant("m", "gpu", 0.5, 0, affine_law(0.01, 0.8))
    with pytest.raises(ValueError, match="m@gpu is in the zoo twice"):
        Zoo("z", (variant, variant))
    with pytest.raises(ValueError, match="at least one variant"):
        Zoo("z", ())


def test_a_zoo_needs_answers_of_all_its_models():
    data = DataSet("d", np.zeros((2, 1), np.float32), np.array([0, 1]), *(np.array([0]),) * 3)
    answers = AnswerTable(data, ("other",), np.full((1, 2, 2), 0.5, np.float32))
    with pytest.raises(ValueError, match="model m has no answers"):
        Zoo("z", (Variant("m", "gpu", 0.5, 0, affine_law(0.01, 0.8)),), answers)
    with pytest.raises(ValueError, match="must have shape"):
        AnswerTable(data, ("a", "b"), np.zeros((1, 2, 2), np.float32))


@pytest.mark.parametrize(("table", "variants", "front"), [("psml-cifar10", 12, 12), ("psml-svhn", 12, 12)])
def test_the_zoos_of_psml_have_twelve_models_all_on_the_front(table, variants, front):
    zoo = load_table(table)
    assert (len(zoo), int(zoo.on_front.sum())) == (variants, front)
    assert zoo.latencies_s[-1] == pytest.approx(0.02049)
    assert zoo.variants[0].latency.seconds(16)[-1] == pytest.approx(0.00235 * (0.8 + 0.2 * 16))


def test_the_imagenet_zoo_has_every_model_on_gpu_and_cpu():
    zoo = load_table("imagenet-gpu-cpu")
    devices = {variant.device for variant in zoo.variants}
    assert devices == {"rtx3090", "i9-10940x"}
    assert len(zoo.models()) == 19
    assert len(zoo) == 38
    levit = {v.device: v.latency for v in zoo.variants if v.model == "levit_384"}
    assert levit["i9-10940x"].batch_one_s == pytest.approx(0.011134)
    assert levit["rtx3090"].seconds(64)[-1] == pytest.approx(0.00052 + 64 * 0.16637890625e-3)


@pytest.mark.parametrize("table", builtin_tables())
def test_a_zoo_survives_its_file(table, tmp_path):
    zoo = load_table(table)
    write_zoo(zoo, tmp_path / "copy.csv", comment="two\nlines")
    back = read_zoo(tmp_path / "copy.csv")
    assert [v.name for v in back.variants] == [v.name for v in zoo.variants]
    assert back.accuracies == pytest.approx(zoo.accuracies, rel=1e-10)
    for one, other in zip(zoo.variants, back.variants, strict=True):
        assert other.latency.batch_sizes == one.latency.batch_sizes
        assert other.latency.latencies_s == pytest.approx(one.latency.latencies_s, rel=1e-10)
        assert other.memory_bytes == pytest.approx(one.memory_bytes, rel=1e-10)


HEADER = "model,device,accuracy,memory_mib,batch,latency_ms\n"


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda rows: [[f'"{cell}"' for cell in row] for row in rows],
        lambda rows: [row[::-1] for row in rows],
        lambda rows: [[f" {cell} " for cell in row] for row in rows],
        lambda rows: [[f' "{cell}"' for cell in row] for row in rows],
    ],
    ids=["in quotes", "turned round", "with blanks", "with blanks before quotes"],
)
def test_a_zoo_is_read_by_the_names_of_its_columns(rewrite, tmp_path):
    rows = [line.split(",") for line in (HEADER + "m,gpu,0.5,10,1,2.1\nm,gpu,0.5,10,4,3\n").splitlines()]
    (tmp_path / "zoo.csv").write_text("\n".join(map(",".join, rows)))
    plain = read_zoo(tmp_path / "zoo.csv")
    (tmp_path / "zoo.csv").write_text("\n".join(map(",".join, rewrite(rows))))
    assert read_zoo(tmp_path / "zoo.csv").variants == plain.variants


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected the header model,device"),
        (HEADER.replace("device", "model"), "header is model,model,accuracy"),
        ("# only a comment\n", "empty; expected the header"),
        ("model,accuracy\n", "header is model,accuracy; expected model,device"),
        (HEADER, "no variant; expected rows under"),
        (HEADER + "m,gpu,0.5,10\n", ":2: 4 columns; expected 6"),
        (HEADER + "m,gpu,high,10,1,2\n", ":2: column accuracy: found 'high'; expected a number"),
        (HEADER + "m,gpu,nan,10,1,2\n", ":2: column accuracy: found 'nan'; expected a number"),
        (HEADER + "m,gpu,1.5,10,1,2\n", ":2: m on gpu: accuracy must be in"),
        (HEADER + "m,gpu,0.5,10,one,2\n", ":2: column batch: found 'one'; expected a whole number"),
        (HEADER + "m,gpu,0.5,10,1,-2\n", ":2: m on gpu: a latency must be above 0"),
        (HEADER + "m,gpu,0.5,10,1,2\nm,gpu,0.6,10,2,3\n", ":3: column accuracy: found 0.6; expected 0.5 as in row 2"),
        (HEADER + "m,gpu,0.5,10,1,2\nn,gpu,0.6,10,1,3\nm,gpu,0.5,10,2,3\n", "m on gpu has rows in two places"),
        (HEADER + "m,gpu,0.5,10,2,2\nm,gpu,0.5,10,1,3\n", "increase strictly"),
        (HEADER + ",gpu,0.5,10,2,2\n", "needs a model and a device"),
    ],
)
def test_a_broken_zoo_file_gets_one_line(text, message, tmp_path):
    path = tmp_path / "zoo.csv"
    path.write_text(text)
    with pytest.raises(ZooError) as caught:
        read_zoo(path)
    shown = str(caught.value)
    assert message in shown
    assert str(path) in shown
    assert "\n" not in shown


def test_a_missing_zoo_is_named(tmp_path):
    with pytest.raises(ZooError, match="cannot be read"):
        load_table(str(tmp_path / "none.csv"))
    with pytest.raises(ZooError, match=r"no zoo table named 'psml'; allowed: .*psml-cifar10"):
        load_table("psml")


def test_the_digits_are_trained_once_and_spread_over_a_front(tmp_path):
    from zoo.builtin import DIGITS, builtin_zoo

    zoo = builtin_zoo("digits", tmp_path)
    files = list(tmp_path.glob("digits-*.npz"))
    assert len(files) == len(DIGITS.members)
    written = [file.stat().st_mtime_ns for file in files]
    again = builtin_zoo("digits", tmp_path)
    assert [file.stat().st_mtime_ns for file in files] == written
    assert np.array_equal(again.answers.probabilities, zoo.answers.probabilities)
    assert zoo.answers.probabilities.sum(axis=2) == pytest.approx(1.0, abs=1e-5)
    accuracies = [zoo.answers.accuracy(row) for row in range(len(DIGITS.members))]
    assert accuracies == sorted(accuracies)
    assert accuracies[0] < 0.65
    assert accuracies[-1] > 0.95
    assert int(zoo.on_front.sum()) == len(DIGITS.members)
    data = zoo.answers.data
    parts = [set(data.train.tolist()), set(data.pool.tolist()), set(data.test.tolist())]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert not parts[0] & parts[2]


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_milliseconds_mean_the_nearest_seconds(digits, tmp_path):
    """Every decimal of up to so many places from .1 to 100 ms is the float that the same decimal in seconds is."""
    step = 10**digits
    values = [
        f"{number // step}.{number % step:0{digits}d}" for number in range(step // 10, 100 * step, max(step // 50, 1))
    ]
    rows = [f"m{k},gpu,0.5,64,1,{value}" for k, value in enumerate(values)]
    (tmp_path / "z.csv").write_text("model,device,accuracy,memory_mib,batch,latency_ms\n" + "\n".join(rows) + "\n")
    variants = load_table(str(tmp_path / "z.csv")).variants
    wrong = [
        value
        for value, variant in zip(values, variants, strict=True)
        if variant.latency.batch_one_s != float(f"{value}e-3") or variant.latency.seconds(1)[0] != float(f"{value}e-3")
    ]
    assert wrong == []


@given(st.decimals("0.000001", "1000000", places=6), st.sampled_from([3, 6, 9]))
def test_scaled_is_the_nearest_float(value, digits):
    assert scaled(str(value), digits) == float(f"{value:f}e-{digits}")
    assert scaled(float(value), digits) == float(f"{Decimal(repr(float(value))):f}e-{digits}")


@given(st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=5, unique=True))
def test_a_zoo_that_is_written_is_read_back_to_the_last_digit(seconds):
    profile = LatencyProfile((1, 2, 3, 4, 5)[: len(seconds)], tuple(sorted(seconds)))
    zoo = Zoo("z", (Variant("m", "gpu", 0.5, 2.0**20, profile),))
    with tempfile.TemporaryDirectory() as folder:
        write_zoo(zoo, Path(folder) / "z.csv")
        assert read_zoo(Path(folder) / "z.csv").variants[0].latency == profile
