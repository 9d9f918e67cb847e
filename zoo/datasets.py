"""Data sets by name: where their files lie, how they are checked, and how they are split."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.answers import DataSet
from zoo.formats import DataError, Items, adult, idx, images, npz, omniglot, unpacked

FOLDER_VARIABLE = "SIEGELAB_DATA"

FILES: dict[str, dict[str, str]] = {
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    "mnist": {
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "notmnist": {
        "t10k-images-idx3-ubyte.gz": "8e7f38ae95cc8f48e0986175ffc9137e5007ebcf3d8fdf6656c904eb9dab198b",
        "t10k-labels-idx1-ubyte.gz": "5f8e6012f2ce730700d8d05fca098bc47f71d25b890e4bec7ac5ebfd614a4001",
    },
    "kmnist": {
        "kmnist-test-imgs.npz": "692d824896bec8f3c357ebf7a0fe904ed67ac632ce953d0b58f7fbef7bb27d87",
        "kmnist-test-labels.npz": "660f13a4705431ea2a6391c41ecbe384cd0d932c595a101ec4f3b8989e785046",
    },
    "omniglot": {
        "images_background_small1.zip": "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
        "images_background_small2.zip": "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
    },
    "adult": {
        "adult-train.csv.gz": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        "adult-test.csv.gz": "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074",
    },
}
"""Files of each data set, with the sha256 of their content (unpacked, where they are gzipped)."""


def data_file(name: str, file: str, folder: Path | None = None) -> Path:
    """Find a file of a data set.

    It may lie in the folder itself, in a folder of the data set's name, or in one of those under ``images`` or
    ``tabular``; a gzipped file may be unpacked.

    Args:
        name: of the data set.
        file: name of the file as published.
        folder: where to look; ``$SIEGELAB_DATA`` by default.

    Raises:
        DataError: saying where it was looked for.
    """
    known = folder or (Path(os.environ[FOLDER_VARIABLE]) if os.environ.get(FOLDER_VARIABLE) else None)
    if known is None:
        raise DataError(f"{name}: needs {file}; set {FOLDER_VARIABLE} to the folder that holds it")
    for place in (known / "images" / name, known / "tabular" / name, known / name, known):
        for candidate in (place / file, place / file.removesuffix(".gz")):
            if candidate.is_file():
                return candidate
    raise DataError(f"{name}: no {file} in {known}; expected it there, or in {name}, images/{name} or tabular/{name}")


def _idx_images(read: Callable[[str], bytes]) -> Items:
    """Read the parts that there are, the training part first."""
    return _joined(
        [
            images(idx(read(f"{part}-images-idx3-ubyte.gz"), part), idx(read(f"{part}-labels-idx1-ubyte.gz"), part))
            for part in ("train", "t10k")
        ]
    )


def _joined(parts: list[Items]) -> Items:
    return Items(np.concatenate([p.inputs for p in parts]), np.concatenate([p.labels for p in parts]))


_NOT_MNIST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
_READERS: dict[str, Callable[[Callable[[str], bytes]], Items]] = {
    "fashion-mnist": _idx_images,
    "mnist": _idx_images,
    "notmnist": lambda read: images(*(idx(read(file), file) for file in _NOT_MNIST)),
    "kmnist": lambda read: images(npz(read("kmnist-test-imgs.npz")), npz(read("kmnist-test-labels.npz"))),
    "omniglot": lambda read: omniglot([read(file) for file in FILES["omniglot"]]),
    "adult": lambda read: adult([read(file) for file in FILES["adult"]]),
}


def load_items(name: str, folder: Path | None = None) -> Items:
    """Load a data set's items in their published order, the training part first.

    Args:
        name: ``digits`` (comes with scikit-learn), ``fashion-mnist`` and ``mnist`` (60,000 + 10,000 images of 28x28),
            ``notmnist`` and ``kmnist`` (10,000 each), ``omniglot`` (5,840 drawings, shrunk to 28x28), ``adult``
            (32,561 + 16,281 rows).
        folder: where its files are; ``$SIEGELAB_DATA`` by default.

    Raises:
        DataError: in one line, if the name is unknown, or a file is missing or not the published one.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        return Items((pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels.astype(np.int64))
    if name not in FILES:
        raise DataError(f"no data set named {name!r}; allowed: digits, {', '.join(FILES)}")
    return _READERS[name](lambda file: unpacked(data_file(name, file, folder), FILES[name][file]))


@dataclass(frozen=True)
class Split:
    """Say how a data set is used.

    Attributes:
        data: name of the data set.
        train: items that victims may be trained on, at least 1.
        pool: items that queries draw from, at least 1; test items are those that are left, or the published test part.
        seed: shuffles before the split; None keeps the published order, and then the last ``test`` items test.
        test: number of test items where the published order is kept.
        near: where queries near the distribution come from: ``blends`` of two items of the pool, or a data set.
        out: where queries from another distribution come from: ``textures``, or a data set.
    """

    data: str
    train: int
    pool: int
    seed: int | None = None
    test: int = 0
    near: str = "blends"
    out: str = "textures"


IN, NEAR, OUT = "in-distribution", "near", "out-of-distribution"
MADE = 10_000
"""Most items of a pool that is made and not read."""

FOREIGN = -1
"""Label of an item that has no true one."""


@cache
def load_split(split: Split, folder: Path | None = None) -> DataSet:
    """Load a data set, split, with the pools that attackers may query from.

    Args:
        split: of which data set, and how.
        folder: where its files are; ``$SIEGELAB_DATA`` by default.

    Returns:
        The data set; the items of ``near`` and ``out`` follow its own, with the label -1.

    Raises:
        DataError: if a file is missing or wrong.
    """
    inputs, labels = load_items(split.data, folder)
    rows = np.arange(len(labels))
    if split.seed is not None:
        rows = np.random.default_rng(split.seed).permutation(len(labels))
    pool = rows[split.train : split.train + split.pool]
    test = rows[-split.test :] if split.test else rows[split.train + split.pool :]
    blocks = [inputs]
    pools = {IN: pool}
    for source, origin in ((NEAR, split.near), (OUT, split.out)):
        block = _foreign(origin, inputs[pool], folder)
        first = sum(map(len, blocks))
        pools[source] = np.arange(first, first + len(block))
        blocks.append(block)
    foreign = np.full(sum(map(len, blocks)) - len(labels), FOREIGN)
    return DataSet(
        split.data,
        np.concatenate(blocks),
        np.concatenate([labels, foreign]),
        rows[: split.train],
        pool,
        test,
        pools,
    )


def _foreign(origin: str, pool: NDArray[np.float32], folder: Path | None) -> NDArray[np.float32]:
    if origin == "blends":
        return blends(pool[:MADE], np.random.default_rng(0))
    if origin == "textures":
        return textures(pool[:MADE].shape, np.random.default_rng(0))
    return load_items(origin, folder).inputs


def blends(pool: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the mean of each item with another one drawn at random: what mixing own data gives, shape as ``pool``."""
    return ((pool + pool[rng.permutation(len(pool))]) / 2).astype(np.float32)


def textures(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return random textures whose amplitude falls as 1 / frequency, as that of natural pictures does.

    Args:
        shape: (items, ..., height, width), or (items, features) for tables, which get independent uniform features.
        rng: draws them.

    Returns:
        Float32 in [0, 1], of that shape; each image spans the range.
    """
    noise = rng.random(shape)
    if len(shape) < 3:
        return noise.astype(np.float32)
    height, width = shape[-2:]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    smooth = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(height, width))
    low, high = smooth.min(axis=(-2, -1), keepdims=True), smooth.max(axis=(-2, -1), keepdims=True)
    return np.asarray((smooth - low) / (high - low), dtype=np.float32)
