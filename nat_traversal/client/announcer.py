"""Steps 2 and 3 at a client: show one UDP socket to the server, and keep its mapping while waiting."""

from __future__ import annotations

import random
from collections.abc import Iterator

from nat_traversal.machine import events as e
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Announce, Announced
from nat_traversal.wire.endpoint import Endpoint

ANNOUNCE_FIRST = 0.5
ANNOUNCE_MOST = 4.0
"""Seconds between announces while none is answered; doubling (RFC 8489 section 6.2.1)."""
ANNOUNCE_KEEPALIVE = 15.0
"""Seconds between announces while waiting for the peer (RFC 8445 section 11): keeps the mapping."""
UDP_SILENCE = 5.0
"""Seconds of unanswered announces after which the user is told that UDP seems blocked."""


class Announcer:
    """Announces the socket `generation` from `announce` until `stop`, again at each `deadline`."""

    def __init__(self, token: bytes, generation: int, rng: random.Random) -> None:
        self.deadline: float | None = None
        self._token = token
        self._generation = generation
        self._rng = rng
        self._transactions: list[bytes] = []
        self._pause = ANNOUNCE_FIRST
        self._silent_since: float | None = None
        self.mapped: Endpoint | None = None
        """Where the server saw this socket last."""

    def announce(self, now: float) -> e.Action:
        """The next announce. Until it is answered, the next follows after a doubled pause."""
        transaction = self._rng.randbytes(TRANSACTION_BYTES)
        self._transactions = [*self._transactions[-3:], transaction]
        self.deadline = now + self._pause
        self._pause = min(ANNOUNCE_MOST, 2 * self._pause)
        if self._silent_since is None:
            self._silent_since = now
        announce = Announce(self._token, transaction, self._generation)
        return e.SendDatagram(announce, None, self._generation)

    def answered(self, answer: Announced, now: float) -> Iterator[e.Action]:
        """An answer came: to one of the last announces, or it is ignored."""
        if answer.transaction not in self._transactions:
            return
        self._transactions.remove(answer.transaction)
        if self.deadline is not None:  # the order to start may have overtaken the answer
            self._silent_since = None
            self._pause = ANNOUNCE_FIRST
            self.deadline = now + ANNOUNCE_KEEPALIVE
        if answer.mapped != self.mapped:
            self.mapped = answer.mapped
            yield e.Tell(e.MappingLearned(answer.mapped, self._generation))

    def due(self, now: float, *, server_answers: bool) -> Iterator[e.Action]:
        """The deadline has come. `server_answers`: it does over TCP, so that UDP is to blame."""
        silence = 0.0 if self._silent_since is None else now - self._silent_since
        if silence >= UDP_SILENCE and server_answers:
            yield e.Tell(e.AnnounceUnanswered(silence))
            self._silent_since = now
        yield self.announce(now)

    def stop(self) -> None:
        """The round has begun: no more announces."""
        self.deadline = None
