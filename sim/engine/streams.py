"""Named random streams: one generator per name, so that adding one shifts no other."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one named stream.

    The name's CRC-32 is the spawn key, so a stream depends on the seed and its own name only, in any process.

    Args:
        seed: of the run, at least 0.
        name: such as ``"arrivals"`` or ``"selection/thief"``.

    >>> int(stream(1, "arrivals").integers(1000)) == int(stream(1, "arrivals").integers(1000))
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),)))
