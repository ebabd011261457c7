"""The peer's authentic frames come from a new address: see whether it is there, and only then send the stream there.

An attacker who copies a frame on its way and is faster than it can make it come from any address. So the new source has to return
a nonce that was sent there, and the old address must not return one that was sent to it: a peer that is still at
the old one answers there, too. Until then the new source gets little. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair
from nat_traversal.paths.budget import Pace
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.source import source_of

TRIAL_DATAGRAMS, TRIAL_OCTETS = 10, 1000
"""To a source that has not returned a nonce, UDP and IP headers and all (RFC 9000 section 8.1 has three times what came)."""
_OCTETS = 35 + 8 + 40
"""Of a PING or PONG, at most."""
ASKED_AT = (0.0, 0.1, 0.3, 0.6, 1.0)
"""Seconds after the first frame from there, when both addresses are asked."""
TRIAL_WITHIN = 3.0
"""Seconds for an answer from there."""
TRIAL_MARGIN = 0.2
"""Seconds above one and a half round trips for the old address to answer: the second question to it is covered."""
TRIAL_SOURCES = 1024
"""New sources whose datagrams are counted. As trials begin, none of them gets more within a quarter of an hour."""
ADDRESS_DATAGRAMS, ADDRESS_EVERY = 40, 6.0
"""To all such ports of one IPv4 address, or /64 of IPv6: at once, and seconds for one more in the long run."""
TRIALS_AT_ONCE, TRIAL_EVERY = 4, 1.0
"""Trials that may begin at once, and seconds between two in the long run."""
Position = tuple[int, int]
"""Of a frame among all of the peer's: epoch and counter."""


@dataclass(slots=True)
class _Trial:
    """Of one new source."""

    source: Endpoint
    began_at: float
    patience: float
    """Seconds for the old address to answer."""
    position: Position
    """Of the newest frame from there."""
    asked: int = 0
    """Questions so far, of `ASKED_AT`."""
    there: dict[bytes, float] = field(default_factory=dict)
    """The nonces that were sent there, and when."""
    here: set[bytes] = field(default_factory=set)
    """Those that were sent to the old address."""
    answered: bool = False

    @property
    def deadline(self) -> float:
        times = [self.began_at + TRIAL_WITHIN]
        if self.asked < len(ASKED_AT):
            times.append(self.began_at + ASKED_AT[self.asked])
        if self.answered:
            times.append(self.began_at + self.patience)
        return min(times)


class Roaming:
    """Of one path. `newest` tells the newest frame that was authentic, wherever it came from."""

    def __init__(
        self, pair: NominatedPair, rng: random.Random, newest: Callable[[], Position]
    ) -> None:
        self.pair = pair
        self._rng = rng
        self._newest = newest
        self._trial: _Trial | None = None
        self._spent: dict[Endpoint, int] = {}
        """Datagrams to sources that have returned no nonce, the latest source last."""
        self._addresses: dict[str, Pace] = {}
        """The same by address: whoever forges one may forge each of its ports."""
        self._begun: list[float] = []
        """When the latest trials began."""
        self._second: Endpoint | None = None
        """A source that was tried last while the peer was still at the old address."""
        self._moved: Endpoint | None = None

    @property
    def deadline(self) -> float | None:
        """When to call `due` next."""
        return None if self._trial is None else self._trial.deadline

    def take_move(self) -> Endpoint | None:
        """Where the peer is now, once."""
        moved, self._moved = self._moved, None
        return moved

    def heard(self, source: Endpoint, kind: Kind, now: float, round_trip: float) -> None:
        """An authentic frame that is newer than all others has come from `source`, which is not the path's."""
        trial = self._trial
        if trial is not None and trial.source == source:
            trial.position = self._newest()
            return
        if source == self._second and kind is not Kind.PING:
            return  # a peer that has left the old one since then gets no answer, and asks
        if self._may_begin(now):
            self._begun.append(now)
            patience = 1.5 * round_trip + TRIAL_MARGIN
            self._trial = _Trial(source, now, patience, self._newest())

    def pong(self, transaction: bytes, source: Endpoint, now: float) -> list[do.Action]:
        """A PING has come from `source`: its answer, beside the one to the old address."""
        if self._trial is None or self._trial.source != source:
            return []
        return self._send(source, Kind.PONG, transaction, now)

    def answered(self, transaction: bytes, source: Endpoint | None, now: float) -> bool:
        """A PONG has come from `source`, None: the old address. False: it answers nothing of this."""
        trial = self._trial
        if trial is None:
            return False
        if transaction in trial.here:
            self._second, self._trial = trial.source, None
            return True
        sent_at = trial.there.get(transaction)
        if sent_at is None:
            return False
        if source == trial.source and not trial.answered:
            trial.answered = True
            trial.patience = max(trial.patience, 1.5 * (now - sent_at) + TRIAL_MARGIN)
            spent = self._spent.pop(source, 0)
            self._of(source).give_back(spent)
        return True

    def due(self, now: float) -> list[do.Action]:
        """Ask both addresses if it is time; judge."""
        trial = self._trial
        if trial is None or now < trial.deadline:
            return []
        if trial.answered and now >= trial.began_at + trial.patience:
            self._trial = None
            if self._newest() <= trial.position:
                self._moved, self._second = trial.source, None
            return []
        if now >= trial.began_at + TRIAL_WITHIN:
            self._trial = None
            return []
        trial.asked += 1
        there, here = (self._rng.randbytes(TRANSACTION_BYTES) for _ in range(2))
        trial.there[there] = now
        trial.here.add(here)
        return [*self._send(trial.source, Kind.PING, there, now), self.pair.send(Kind.PING, here)]

    def _send(self, source: Endpoint, kind: Kind, plain: bytes, now: float) -> list[do.Action]:
        """One datagram to a source, if it may have one more."""
        assert self._trial is not None
        if self._trial.answered:
            return [self.pair.send(kind, plain, source)]
        spent = self._spent.pop(source, 0)
        may = (
            spent < TRIAL_DATAGRAMS
            and (spent + 1) * _OCTETS <= TRIAL_OCTETS
            and not self._of(source).take(now)
        )
        self._spent[source] = spent + may
        if len(self._spent) > TRIAL_SOURCES:
            del self._spent[next(iter(self._spent))]
        return [self.pair.send(kind, plain, source)] if may else []

    def _of(self, source: Endpoint) -> Pace:
        """The bound of its address, which is the latest one now."""
        address = source_of(source.address)
        pace = self._addresses.pop(address, None) or Pace(ADDRESS_DATAGRAMS, ADDRESS_EVERY)
        self._addresses[address] = pace
        if len(self._addresses) > TRIAL_SOURCES:
            del self._addresses[next(iter(self._addresses))]
        return pace

    def _may_begin(self, now: float) -> bool:
        self._begun = [each for each in self._begun if now - each < TRIALS_AT_ONCE * TRIAL_EVERY]
        return len(self._begun) < TRIALS_AT_ONCE
