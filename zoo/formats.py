"""Formats of published data sets: IDX, npz, Omniglot's zips and Adult's table, each checked before it is read."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

IDX_UNSIGNED_BYTE = 8
OMNIGLOT_SIDE = 28

ADULT_NUMBERS = (0, 2, 4, 10, 11, 12)
ADULT_COLUMNS = 15


class DataError(ValueError):
    """Say in one line which data is missing or wrong, where it was looked for and what is expected."""


class Items(NamedTuple):
    """Hold labelled items.

    Attributes:
        inputs: float32, shape (items, ...), pixels in [0, 1].
        labels: int64 from 0, shape (items,).
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]


def unpacked(path: Path, sha256: str) -> bytes:
    """Return the content of a file, without its gzip wrapping if it has one.

    Args:
        path: the file.
        sha256: that the content must have, in hexadecimal; wrapping differs between mirrors, content does not.

    Raises:
        DataError: if it cannot be read or its content is another.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError) as problem:
        raise DataError(f"{path}: cannot be read ({problem})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(f"{path}: content has sha256 {found}; expected {sha256}")
    return content


def idx(content: bytes, where: str) -> NDArray[np.uint8]:
    """Read an IDX array of bytes: two zero bytes, the type, the number of axes, each length as big-endian, the data.

    Raises:
        DataError: if the head is not that of such an array or the length is not what the head says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UNSIGNED_BYTE:
        raise DataError(f"{where}: starts with {content[:4].hex()}; expected an IDX array of bytes (000008..)")
    head = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:head], dtype=">u4").astype(np.int64)
    if len(content) - head != shape.prod():
        raise DataError(f"{where}: {len(content) - head} bytes of data; expected {shape.prod()} for {shape.tolist()}")
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)


def npz(content: bytes) -> NDArray[np.uint8]:
    """Read the only array of an npz archive; no pickled one."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        array: NDArray[np.uint8] = stored[stored.files[0]]
    return array


def images(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Items:
    """Scale bytes to [0, 1] and give each image its one channel."""
    return Items((pixels[:, None] / np.float32(255)).astype(np.float32), labels.astype(np.int64))


def omniglot(contents: list[bytes]) -> Items:
    """Read Omniglot's archives: ink is 1, paper 0, shrunk to 28x28; the label is the character's number."""
    from PIL import Image

    drawn, characters = [], []
    for content in contents:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in sorted(entry for entry in archive.namelist() if entry.endswith(".png")):
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    small = image.convert("L").resize((OMNIGLOT_SIDE, OMNIGLOT_SIDE), Image.Resampling.BOX)
                drawn.append(255 - np.asarray(small))
                characters.append(name.rpartition("/")[0])
    _, labels = np.unique(characters, return_inverse=True)
    return images(np.stack(drawn), labels.astype(np.uint16))


def adult(contents: list[bytes]) -> Items:
    """Read UCI Adult: six standardized numbers and eight one-hot categories (``?`` is one); the label is ``>50K``."""
    rows = [
        [cell.strip() for cell in line.split(",")]
        for content in contents
        for line in content.decode().splitlines()
        if line.count(",") == ADULT_COLUMNS - 1
    ]
    columns: list[NDArray[Any]] = [np.array(column) for column in zip(*rows, strict=True)]
    features = []
    for number, column in enumerate(columns[:-1]):
        if number in ADULT_NUMBERS:
            values = column.astype(np.float64)
            features.append(((values - values.mean()) / (values.std() or 1.0))[:, None])
        else:
            features.append(column[:, None] == np.unique(column)[None])
    labels = np.char.startswith(columns[-1], ">50K")
    return Items(np.hstack(features).astype(np.float32), labels.astype(np.int64))
