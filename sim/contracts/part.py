"""Parts: what a scenario file can name, and how one says that it does not go with the rest."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Variants = NDArray[np.int64]
Made = TypeVar("Made")


class Misfit(ValueError):  # noqa: N818 -- two parts that are right alone, and not together
    """Say that a part of a scenario does not go with the rest of it, and which part.

    Attributes:
        place: path of the part, from the part of the scenario that was being made.
    """

    def __init__(self, place: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.place = place


def fitting(place: tuple[str, ...], make: Callable[[], Made], part: type | None = None) -> Made:
    """Make something, and give a ``ValueError`` the place of what does not fit.

    Args:
        place: path of what is made.
        make: makes it.
        part: class of what stands there: the place goes on to the field of it that the message begins with.

    Raises:
        Misfit: with the place; one that was raised inside keeps its own below it.
    """
    try:
        return make()
    except ValueError as problem:
        inside = getattr(problem, "place", ()) or named_field(part, str(problem))
        raise Misfit((*place, *inside), str(problem)) from None


def named_field(part: type | None, message: str) -> tuple[str, ...]:
    """Return the path to the field of a dataclass that a message begins with; empty if it begins with none."""
    word = message.split(" ", 1)[0]
    fields = {"kind", *(field.name for field in dataclasses.fields(part))} if dataclasses.is_dataclass(part) else set()
    return tuple(word.split(".")) if word.split(".", 1)[0] in fields else ()


def read_by(function: Callable[..., object], allowed: Sequence[str], whose: str) -> tuple[str, ...]:
    """Return what a part's function reads: the names of its parameters.

    Args:
        function: that the part gave.
        allowed: what it may be handed.
        whose: what messages call it.

    Raises:
        ValueError: if it reads what it is not given.
    """
    asked = tuple(inspect.signature(function).parameters)
    for one in asked:
        if one not in allowed:
            near = get_close_matches(one, allowed, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"{whose} reads {one!r}{hint}; it may read {', '.join(allowed)}")
    return asked


class Part(ABC):
    """Mark what a scenario file can name: ``kind`` is the word that stands for the class there.

    ``plain`` says that the fast path can serve it: the one where everything about a query is decided before the run and
    workers never fail, swap or scale. A scenario whose parts are all plain takes that path.
    """

    kind: ClassVar[str]
    plain: ClassVar[bool] = True
