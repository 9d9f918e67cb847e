"""Data sets: formats, checks of content, splits, pools, and one clear line where something is missing or wrong."""

import gzip
import hashlib
import io
import struct
import zipfile

import numpy as np
import pytest

from zoo import datasets
from zoo.builtin import DIGITS, FASHION, blobs_zoo
from zoo.datasets import IN, NEAR, OUT, Split, blends, load_items, load_split, textures
from zoo.formats import DataError, adult, idx, npz, omniglot, unpacked


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_idx_is_read_as_it_was_written():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(idx(idx_bytes(array), "x"), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an IDX array of bytes"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "expected an IDX array of bytes"),
        (idx_bytes(np.zeros(5, np.uint8))[:-1], r"4 bytes of data; expected 5 for \[5\]"),
    ],
)
def test_what_is_no_idx_array_is_refused(content, message):
    with pytest.raises(DataError, match=message):
        idx(content, "file")


def test_content_is_checked_whatever_its_wrapping(tmp_path):
    content, good = b"content", hashlib.sha256(b"content").hexdigest()
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(content, 1))
    (tmp_path / "again.gz").write_bytes(gzip.compress(content, 9, mtime=7))
    assert {unpacked(tmp_path / name, good) for name in ("plain", "packed.gz", "again.gz")} == {content}
    with pytest.raises(DataError, match=r"packed.gz: content has sha256 ed70.*; expected 00"):
        unpacked(tmp_path / "packed.gz", "00")
    (tmp_path / "torn.gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(DataError, match=r"torn.gz: cannot be read"):
        unpacked(tmp_path / "torn.gz", good)


def test_npz_takes_no_pickle():
    stream = io.BytesIO()
    np.savez(stream, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        npz(stream.getvalue())


def test_omniglot_is_ink_on_paper_by_character():
    from PIL import Image

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, ink in (("a/c1/1.png", 0), ("a/c2/1.png", 0), ("b/c1/1.png", 255)):
            file = io.BytesIO()
            Image.new("L", (105, 105), ink).save(file, "png")
            archive.writestr(f"small/{name}", file.getvalue())
    items = omniglot([stream.getvalue()])
    assert items.inputs.shape == (3, 1, 28, 28)
    assert items.inputs.mean(axis=(1, 2, 3)).tolist() == [1.0, 1.0, 0.0]
    assert items.labels.tolist() == [0, 1, 2]


def test_adult_is_encoded_column_by_column():
    row = "{}, Private, {}, Bachelors, 13, Never-married, {}, Own-child, White, Male, 0, {}, 40, ?, {}"
    lines = [row.format(age, 100 + age, "Sales", age % 7, ">50K." if age > 40 else "<=50K") for age in range(30, 50)]
    lines[3] = lines[3].replace("Sales", "?")
    items = adult(["\n".join([*lines, "", "|1x3 Cross validator"]).encode()])
    assert items.labels.tolist() == [int(age > 40) for age in range(30, 50)]
    numbers = items.inputs[:, 0]
    assert numbers.mean() == pytest.approx(0, abs=1e-6)
    assert numbers.std() == pytest.approx(1, abs=1e-6)
    # Six numbers, and one column for each value of the eight categories: occupation has two here, the others one.
    assert items.inputs.shape == (20, 6 + 7 + 2)
    assert set(np.unique(items.inputs[:, 7:9]).tolist()) <= {0.0, 1.0}


def test_missing_data_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv(datasets.FOLDER_VARIABLE, raising=False)
    with pytest.raises(DataError, match=r"^mnist: needs train-images-idx3-ubyte.gz; set SIEGELAB_DATA to the folder"):
        load_items("mnist")
    with pytest.raises(DataError, match=r"^kmnist: no kmnist-test-imgs.npz in .*; expected it there, or in kmnist, "):
        load_items("kmnist", tmp_path)
    with pytest.raises(DataError, match="no data set named 'cifar'; allowed: digits, fashion-mnist, "):
        load_items("cifar")


def test_a_file_is_found_in_each_of_its_places(tmp_path, monkeypatch):
    file = "kmnist-test-imgs.npz"
    for place in (".", "kmnist", "tabular/kmnist", "images/kmnist"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / file).touch()
        assert datasets.data_file("kmnist", file, tmp_path) == tmp_path / place / file
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(tmp_path))
    assert datasets.data_file("kmnist", file).name == file
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").touch()
    assert datasets.data_file("mnist", "train-labels-idx1-ubyte.gz", tmp_path).name == "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("fashion-mnist", (70_000, 1, 28, 28), 10),
        ("mnist", (70_000, 1, 28, 28), 10),
        ("notmnist", (10_000, 1, 28, 28), 10),
        ("kmnist", (10_000, 1, 28, 28), 10),
        ("omniglot", (5_840, 1, 28, 28), 292),
        ("adult", (48_842, 108), 2),
    ],
)
def test_published_files_are_read_whole(name, shape, classes, data_folder):
    items = load_items(name, data_folder)
    assert items.inputs.shape == shape
    assert items.inputs.dtype == np.float32
    assert len(np.unique(items.labels)) == classes
    if len(shape) == 4:
        assert items.inputs.min() == 0.0
        assert items.inputs.max() == 1.0
    else:
        assert items.labels.mean() == pytest.approx(0.2393, abs=1e-4)  # 11,687 of 48,842 earn more


def test_a_split_uses_every_item_once_and_keeps_the_published_test_part(data_folder):
    data = load_split(FASHION.split, data_folder)
    assert data.test.tolist() == list(range(60_000, 70_000))
    assert np.array_equal(data.train, np.arange(30_000))
    assert not set(data.pool.tolist()) & {*data.train.tolist(), *data.test.tolist()}
    assert len(data.pools[OUT]) == len(data.pools[NEAR]) == 10_000
    assert np.array_equal(data.inputs[data.pools[OUT]], load_items("notmnist", data_folder).inputs)


def test_pools_of_the_digits():
    data = load_split(DIGITS.split)
    assert np.array_equal(data.pools[IN], data.pool)
    assert data.classes == 10
    for source in (NEAR, OUT):
        rows = data.pools[source]
        assert (data.labels[rows] == -1).all()
        assert data.inputs[rows].min() >= 0
        assert data.inputs[rows].max() <= 1
    own = {*data.train.tolist(), *data.pool.tolist(), *data.test.tolist()}
    assert own == set(range(1797))


def test_a_part_of_a_data_set_can_be_another_ones_pool():
    data = load_split(Split("digits", 500, 500, seed=0, near="digits"))
    assert len(data.pools[NEAR]) == 1797
    assert np.array_equal(data.inputs[data.pools[NEAR]], load_items("digits").inputs)


def test_blends_are_means_of_two():
    pool = np.eye(5, dtype=np.float32)
    mixed = blends(pool, np.random.default_rng(1))
    assert mixed.sum(axis=1).tolist() == [1.0] * 5
    assert (np.diag(mixed) >= 0.5).all()


def test_textures_have_the_spectrum_of_pictures():
    made = textures((400, 1, 16, 16), np.random.default_rng(1))
    assert made.min() == 0.0
    assert made.max() == 1.0
    spectrum = np.abs(np.fft.rfft2(made))[:, 0].mean(axis=0)
    # Amplitude falls as 1 / frequency: doubling the frequency halves it.
    assert spectrum[0, 1] / spectrum[0, 2] == pytest.approx(2.0, rel=0.15)
    assert spectrum[2, 0] / spectrum[4, 0] == pytest.approx(2.0, rel=0.15)


def test_the_bayes_answer_of_blobs_is_right_as_often_as_it_says():
    zoo = blobs_zoo()
    table, data = zoo.answers, zoo.answers.data
    own = np.arange(3000)
    for row in range(len(table.models)):
        said = table.probabilities[row, own]
        right = said.argmax(axis=1) == data.labels[own]
        # A calibrated answer is right as often as its top probability: within five standard errors.
        error = np.sqrt((said.max(axis=1) * (1 - said.max(axis=1))).sum()) / len(own)
        assert abs(right.mean() - said.max(axis=1).mean()) < 5 * error
    assert [table.accuracy(row) for row in range(4)] == sorted(table.accuracy(row) for row in range(4))
    again = table.networks.probabilities(3, data.inputs)
    assert np.array_equal(again, table.probabilities[3])
