"""Keepalive of an established path, and the peer's consent to it (RFC 7675) until that expires."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair
from nat_traversal.paths.keepalive import Keepalive
from nat_traversal.paths.watch import Watch
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Kind

JUDGED = 20
"""Pings from which the loss is told."""
ANSWER_WITHIN = 1.0
"""Seconds above a round trip, after which a ping without an answer counts as lost."""


@dataclass(slots=True)
class _Ping:
    """One that was sent."""

    sent_at: float
    round_trip: float | None = None
    """Seconds until its answer; None: none has come."""


class Reason(Enum):
    """The reason why a path is pressed."""

    SILENT = auto()  # this side hears nothing
    PEER = auto()  # the peer has left it, or looks for another
    STALE = auto()  # this host's own network has changed under it


class Consent:
    """Answers and sends pings on one established path. Only a PONG renews consent: it alone proves
    that the peer hears this side.

    A path is *pressed* when there is reason to think that it is dead: programs' datagrams draw nothing, or somebody
    says so. Pings then go out quickly. It is *suspect* once these stay unanswered, until a PONG comes. `authentic` tells
    how many authentic frames have come."""

    def __init__(
        self,
        pair: NominatedPair,
        settings: ClientSettings,
        rng: random.Random,
        now: float,
        authentic: Callable[[], int] = int,
        *,
        keepalive: Keepalive | None = None,
    ) -> None:
        self.pair = pair
        self._settings = settings
        self._rng = rng
        self._keepalive = keepalive
        """None: pings go out as often as on a path in use."""
        self._asked: dict[bytes, _Ping] = {}
        """The newest pings whose answer counts."""
        self._judged: deque[_Ping] = deque(maxlen=JUDGED)
        self._round_trip = 0.0
        self._consent_until = now + settings.consent
        self.was_heard = False
        """The peer has sent a frame on this path: it has proof as well."""
        self.is_doubted = False
        """The server says that the peer left, and it has not shown itself since."""
        self._ping_at = now + self._pause()
        self._unanswered_since: float | None = None
        self._silence_told = False
        self._watch = Watch(settings, authentic)
        self._pressed_at: float | None = None
        self._suspect_at = 0.0
        """When a pressed path becomes suspect."""
        self._is_judged = False
        """`due` has been called since."""
        self._heard_at = now
        """When a ping or pong came last."""
        self._suspicion_told = False

    @property
    def deadline(self) -> float:
        at, quiet_at = min(self._ping_at, self._consent_until), self._watch.deadline
        if quiet_at is not None:
            at = min(at, quiet_at)
        if self._pressed_at is not None and not self._is_judged:
            at = min(at, self._suspect_at)
        return at

    @property
    def round_trip(self) -> float:
        """The last one that was measured, in seconds; 0 before."""
        return self._round_trip

    @property
    def heard_at(self) -> float:
        """When something authentic came last, to `quiet_after` / 4."""
        return max(self._heard_at, self._watch.heard_at)

    def loss(self, now: float) -> float | None:
        """The share of the newest pings, at most `JUDGED`, that were not answered in time. None: none is due yet."""
        late = now - ANSWER_WITHIN - self._round_trip
        told = [
            each for each in self._judged if each.round_trip is not None or each.sent_at <= late
        ]
        return sum(each.round_trip is None for each in told) / len(told) if told else None

    @property
    def jitter(self) -> float | None:
        """Seconds by which the round trips of two answered pings in a row differ, on average over the newest
        `JUDGED` pings. None: fewer than two are answered.

        The differences are those of RFC 3550 section 6.4.1, of round trips in the place of one-way transits. Its
        smoothing is for packets that come by the hundred; here the mean of a known number says more.
        """
        times = [each.round_trip for each in self._judged if each.round_trip is not None]
        changes = [abs(after - before) for before, after in pairwise(times)]
        return sum(changes) / len(changes) if changes else None

    def has_expired(self, now: float) -> bool:
        """No PONG has come in time."""
        return now >= self._consent_until

    def falls_silent(self, now: float) -> bool:
        """No ping has been answered for `silent_after`, or no quick one for its interval. True once in each silence."""
        since, after = self._unanswered_since, self._settings.silent_after
        if self._pressed_at is not None:
            since = self._pressed_at
            after = min(after, self._settings.quick_ping + self._round_trip)
        if self._silence_told or since is None or now - since < after:
            return False
        self._silence_told = True
        return True

    def is_suspect(self, now: float) -> bool:
        """Datagrams had better take another path, if there is one."""
        return self._pressed_at is not None and now >= self._suspect_at

    def turns_suspect(self, now: float) -> bool:
        """The path is suspect. True once each time."""
        if self._suspicion_told or not self.is_suspect(now):
            return False
        self._suspicion_told = True
        return True

    def offered(self, now: float) -> None:
        """A program's datagram has been sent on the path."""
        self._watch.offered(now)
        if self._keepalive is not None and self._keepalive.used(now):
            self._ping_at = min(self._ping_at, now)
            self._consent_until = min(self._consent_until, now + self._settings.consent)
        since = self._unanswered_since
        if since is not None and now - since >= self._patience:
            self.press(now)

    def press(self, now: float, reason: Reason = Reason.SILENT) -> None:
        """The path may be dead: find out quickly."""
        patience = self._patience
        if reason is not Reason.SILENT:
            patience = min(patience, self._settings.quick_ping + self._round_trip)
        if reason is Reason.STALE:
            self._asked.clear()  # as in `doubt`
        if self._pressed_at is None:
            self._pressed_at, self._suspect_at = now, math.inf
            self._suspicion_told = False
            self._ping_at = now
        self._suspect_at = min(self._suspect_at, now + patience)
        self._is_judged = False

    @property
    def _patience(self) -> float:
        """For a quick ping to be answered."""
        return self._settings.leave_after + self._round_trip

    def doubt(self, now: float, within: float | None = None) -> None:
        """The server says that the peer left: find out quickly whether the path still works, `within` so many seconds above a
        round trip."""
        self.is_doubted = True
        self._asked.clear()  # a pong that is on its way proves the past
        within = self._settings.doubt_within if within is None else within
        self._consent_until = min(self._consent_until, now + within + self._round_trip)
        self._ping_at = now

    def due(self, now: float) -> list[do.Action]:
        """Send a ping if it is time."""
        if self._watch.is_quiet(now):
            self.press(now)
        self._is_judged = self.is_suspect(now)
        if now < self._ping_at:
            return []
        settings = self._settings
        transaction = self._rng.randbytes(TRANSACTION_BYTES)
        ping = self._asked[transaction] = _Ping(now)
        self._judged.append(ping)
        if len(self._asked) > settings.kept_pings:
            del self._asked[next(iter(self._asked))]
        self._ping_at = now + self._repeat(now)
        if self._unanswered_since is None:
            self._unanswered_since = now
        return [self.pair.send(Kind.PING, transaction)]

    def arrived(self, kind: Kind, plain: bytes, now: float) -> list[do.Action]:
        """An authentic frame of the peer. A ping is answered, a pong that answers one of the last pings
        renews consent."""
        self.was_heard, self._heard_at = True, now
        transaction = plain[:TRANSACTION_BYTES]
        if kind is Kind.PING and len(transaction) == TRANSACTION_BYTES:
            self._tarry(now)
            return [self.pair.send(Kind.PONG, transaction)]
        if kind is Kind.PONG and transaction in self._asked:
            answered = self._asked.pop(transaction)
            self._round_trip = answered.round_trip = now - answered.sent_at
            self.renew(now)
        return []

    def renew(self, now: float) -> None:
        """The peer has shown that it hears this side."""
        self.is_doubted = self._silence_told = False
        self._unanswered_since = self._pressed_at = None
        self._suspicion_told = False
        pause = None if self._keepalive is None else self._keepalive.answered(now)
        self._ping_at = now + (self._pause() if pause is None else pause)
        self._consent_until = now + (pause or 0.0) + self._settings.consent

    def _tarry(self, now: float) -> None:
        """The peer pings an idle path: this side need not as well."""
        pause = None if self._keepalive is None else self._keepalive.asked(now)
        if pause is not None and self._unanswered_since is None and self._pressed_at is None:
            self._ping_at = max(self._ping_at, now + pause)
            self._consent_until = max(self._consent_until, self._ping_at + self._settings.consent)

    def died(self) -> None:
        """Consent has expired: the NATs on the way may not bear such a pause."""
        if self._keepalive is not None:
            self._keepalive.died()

    def _repeat(self, now: float) -> float:
        """Until the next ping, while none is answered. Nobody is pressed on an idle path."""
        settings = self._settings
        is_new = self._pressed_at is not None and now < self._pressed_at + settings.quick_for
        if is_new or (self._pressed_at is not None and self._watch.is_busy(now)):
            return settings.quick_ping
        return settings.doubt_interval if self.is_doubted else settings.ping_repeat

    def _pause(self) -> float:
        """Jittered by a fifth (RFC 7675 section 5.1)."""
        return self._settings.ping_interval * self._rng.uniform(0.8, 1.2)
