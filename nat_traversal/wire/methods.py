"""The names of the ways to a path, the rungs of the ladder, as options, events and results have them."""

from __future__ import annotations

from enum import StrEnum

from nat_traversal.errors import UsageError


class MethodName(StrEnum):
    """In the order in which they are tried."""

    ORDERED_HELLO = "ordered-hello"
    """The contract."""
    RELAY = "relay"
    """Through the server."""


ALL = tuple(MethodName)


def parse_methods(text: str) -> tuple[MethodName, ...]:
    """Names with a comma between. Raises `UsageError`."""
    names = text.split(",")
    for name in names:
        if name not in set(MethodName):
            raise UsageError(f"{name!r} is no method: choose from {', '.join(ALL)}")
    if MethodName.ORDERED_HELLO not in names:
        raise UsageError("ordered-hello is the first of all methods: it cannot be left out")
    return tuple(MethodName(name) for name in names)
