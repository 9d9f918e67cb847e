"""Show texts from files as data: what is invisible, or would move a terminal's cursor, is written as its escape."""

from __future__ import annotations

MOST_CHARACTERS = 500
"""Most characters of a line that is shown to a user."""


def visible(text: str) -> str:
    r"""Write control characters, marks of direction and line ends of all kinds as their escapes.

    >>> print(visible("a\x1b[31mb\u202ec\n"))
    a\x1b[31mb\u202ec\n
    """
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)


def line(text: object, most: int = MOST_CHARACTERS) -> str:
    """Return a text as one line of bounded length.

    >>> line("x" * 1000, 40)
    'xxxxxxxxxxxxxxxxxxxx… (1,000 characters)'
    """
    whole = str(text)
    shown = visible(whole[: most + 1])
    if len(shown) <= most:
        return shown
    end = f"… ({len(whole):,} characters)"
    return shown[: most - len(end)] + end
