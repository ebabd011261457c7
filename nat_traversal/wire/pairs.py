"""Several registrations on one control connection: each line says by a number which of them it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nat_traversal.wire.messages import Message, UnknownMessage

MOST_PAIRS = 65_535
"""The largest number of a registration. The first one of a connection has none: its lines say nothing of pairs."""


@dataclass(frozen=True, slots=True)
class ForPair:
    """A message about a further registration of the connection, by its number: 1 to `MOST_PAIRS`."""

    pair: int
    message: Message | UnknownMessage


@dataclass(frozen=True, slots=True)
class Leave:
    """Either way: this registration has ended, and the connection goes on with the others."""


def for_pair(pair: int, message: Message) -> Message:
    """`message` as it is said of the registration `pair`; 0: the first."""
    return ForPair(pair, message) if pair else message
