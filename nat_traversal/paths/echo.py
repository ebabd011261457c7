"""Pings of an established path that a user asks for: each is answered once, or never."""

from __future__ import annotations

import random

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Kind

KEPT = 8
"""Pings whose answers are waited for; one more forgets the oldest."""


class Echo:
    """Of one path, sealed as all its frames are."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._asked: dict[bytes, float] = {}
        """The moments at which they were sent, by transaction."""

    def ask(self, pair: NominatedPair, now: float) -> do.Action:
        """Send one."""
        transaction = self._rng.randbytes(TRANSACTION_BYTES)
        self._asked[transaction] = now
        if len(self._asked) > KEPT:
            del self._asked[next(iter(self._asked))]
        return pair.send(Kind.PING, transaction)

    def answered(self, pong: bytes, now: float) -> float | None:
        """A PONG came: seconds since its ping. None: it answers none of these."""
        asked = self._asked.pop(pong[:TRANSACTION_BYTES], None)
        return None if asked is None else now - asked
