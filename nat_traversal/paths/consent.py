"""An established path between the hosts: keepalive and consent (RFC 7675) until it ends."""

from __future__ import annotations

import random
from collections.abc import Iterator

from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Bye, Datagram, Ping, Pong
from nat_traversal.wire.endpoint import Endpoint

PING_INTERVAL = 5.0
"""Seconds between pings (RFC 7675 section 5.1), each jittered by a fifth. Far below the shortest
mapping timeout that RFC 4787 section 4.3 allows (120 s) and the 30 s of stock Linux."""
REPEAT_INTERVAL = 1.0
"""Seconds between pings while none is answered. Where a fifth of all packets is lost, five unanswered
ones are no proof of death (one path in a hundred ended falsely within a minute); thirty are."""
CONSENT_TIMEOUT = 30.0
"""Seconds without a PONG after which the path has ended (RFC 7675 section 5.1)."""
SILENT_AFTER = 6.0
"""Seconds of unanswered pings after which the client asks whether the server still answers. Above
a round trip of 5 s; early enough to have reconnected before consent expires."""
DOUBT_INTERVAL = 0.5
DOUBT_TIMEOUT = 3.0
"""Seconds between pings, and above a round trip until the end, once the server says that the peer
has left."""
KEPT_PINGS = 16
"""The newest pings whose answer counts: in doubt, those of a round trip of more than 5 s."""


class Path:
    """Answers and sends pings on one established path. Only a PONG renews consent: it alone proves
    that the peer hears this side."""

    def __init__(self, token: bytes, remote: Endpoint, rng: random.Random, now: float) -> None:
        self.remote = remote
        self._token = token
        self._rng = rng
        self._asked: dict[bytes, float] = {}
        """The newest pings, and when they were sent."""
        self._round_trip = 0.0
        self._consent_until = now + CONSENT_TIMEOUT
        self.is_doubted = False
        """The server says that the peer left, and it has not shown itself since."""
        self._ping_at = now + self._pause()
        self._unanswered_since: float | None = None
        self._silence_told = False

    @property
    def deadline(self) -> float:
        return min(self._ping_at, self._consent_until)

    def has_ended(self, now: float) -> bool:
        """Consent has expired."""
        return now >= self._consent_until

    def falls_silent(self, now: float) -> bool:
        """No ping has been answered for `SILENT_AFTER`. True once in each silence."""
        since = self._unanswered_since
        if self._silence_told or since is None or now - since < SILENT_AFTER:
            return False
        self._silence_told = True
        return True

    def doubt(self, now: float) -> None:
        """The server says that the peer left: find out quickly whether the path still works."""
        self.is_doubted = True
        self._asked.clear()  # a pong that is on its way proves the past
        self._consent_until = min(self._consent_until, now + DOUBT_TIMEOUT + self._round_trip)
        self._ping_at = now

    def ping_if_due(self, now: float) -> Iterator[Datagram]:
        if now < self._ping_at:
            return
        transaction = self._rng.randbytes(TRANSACTION_BYTES)
        self._asked[transaction] = now
        if len(self._asked) > KEPT_PINGS:
            del self._asked[next(iter(self._asked))]
        self._ping_at = now + (DOUBT_INTERVAL if self.is_doubted else REPEAT_INTERVAL)
        if self._unanswered_since is None:
            self._unanswered_since = now
        yield Ping(self._token, transaction)

    def arrived(self, datagram: Ping | Pong, source: Endpoint, now: float) -> Iterator[Datagram]:
        """A ping is answered, a pong that answers one of the last pings renews consent."""
        if source != self.remote or datagram.token != self._token:
            return
        if isinstance(datagram, Ping):
            yield Pong(self._token, datagram.transaction)
        elif datagram.transaction in self._asked:
            self._round_trip = now - self._asked.pop(datagram.transaction)
            self.is_doubted = self._silence_told = False
            self._unanswered_since = None
            self._consent_until = now + CONSENT_TIMEOUT
            self._ping_at = now + self._pause()

    def is_farewell(self, datagram: Bye, source: Endpoint) -> bool:
        return source == self.remote and datagram.token == self._token

    def farewell(self) -> Bye:
        return Bye(self._token)

    def _pause(self) -> float:
        return PING_INTERVAL * self._rng.uniform(0.8, 1.2)
