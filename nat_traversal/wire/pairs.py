"""Several registrations on one control connection: each line says by a number which of them it is about."""

from __future__ import annotations

from nat_traversal.wire.messages import ForPair, Message

MOST_PAIRS = 65_535
"""The largest number of a registration. The first one of a connection has none: its lines say nothing of pairs."""


def for_pair(pair: int, message: Message) -> Message:
    """`message` as it is said of the registration `pair`; 0: the first."""
    return ForPair(pair, message) if pair else message
