"""Profiling: how long a network takes for a batch on this machine."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zoo.networks import device, one_thread

WARM_UP = 3


def batch_seconds(network: nn.Module, inputs: NDArray[np.float32], repeats: int) -> float:
    """Return the median time of a batch, seconds, after a warm-up; the GPU is waited for."""
    place = device()
    network.to(place)
    batch = torch.from_numpy(np.ascontiguousarray(inputs)).to(place)
    taken = []
    with torch.no_grad(), one_thread():
        for _ in range(WARM_UP + repeats):
            start = time.perf_counter()
            network(batch)
            if place.type == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - start)
    network.cpu()
    return statistics.median(taken[WARM_UP:])
