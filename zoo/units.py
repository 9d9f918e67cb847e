"""Convert numbers that people write in other units into the floats nearest to what they wrote."""

from __future__ import annotations

from decimal import Decimal


def scaled(value: str | float | Decimal, digits: int) -> float:
    """Return the float nearest to a decimal number with its point moved to the left.

    Dividing a float would round twice: 2.1 ms would not be 0.0021 s, and a model of that latency would not meet a spec
    that asks for it.

    >>> 2.1 / 1e3, scaled("2.1", 3)
    (0.0021000000000000003, 0.0021)

    Args:
        value: a number as it is written; a float stands for the shortest decimal that reads as it.
        digits: places that the point moves: 3 from milliseconds to seconds.

    Raises:
        decimal.InvalidOperation: if it is no number.
    """
    return float(moved(value, digits))


def less(value: float, other: float) -> float:
    """Return the float nearest to the difference of two decimal numbers.

    >>> 0.3 - 0.1, less(0.3, 0.1)
    (0.19999999999999998, 0.2)
    """
    return float(Decimal(repr(value)) - Decimal(repr(other)))


def moved(value: str | float | Decimal, digits: int) -> Decimal:
    """Return a decimal number with its point moved to the left, to the last digit; see ``scaled``."""
    number = Decimal(str(value))
    sign, figures, exponent = number.as_tuple()
    if not isinstance(exponent, int):  # an infinity, or not a number
        return number
    return Decimal((sign, figures, exponent - digits))
