"""The remedy for a name that is none: the nearest one that there is. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str:
    """The nearest one of `known`, as a question, or all of them."""
    from difflib import get_close_matches  # noqa: PLC0415 - most starts have no mistake

    names = sorted(known)
    close = get_close_matches(name.lower().replace("_", "-"), names, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
