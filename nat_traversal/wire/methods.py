"""The names of the ways to a path, the rungs of the ladder, as options, events and results have them."""

from __future__ import annotations

from enum import StrEnum


class MethodName(StrEnum):
    """In the order in which they are tried."""

    ORDERED_HELLO = "ordered-hello"
    """The contract."""
    RELAY = "relay"
    """Through the server."""


ALL = tuple(MethodName)
