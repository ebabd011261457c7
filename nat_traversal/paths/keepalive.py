"""The pause between two pings of a path that programs do not use: as long as the NATs on the way are known to bear. Pure.

A NAT forgets a mapping that nothing refreshes (RFC 4787 section 4.3). One exchange of ping and pong refreshes both hosts'. So on an
idle path one of the two pings, and the other only answers. The pause grows while pings are answered.
"""

from __future__ import annotations

import random

from nat_traversal.settings import ClientSettings

GROWS = 1.5
"""From one pause to the next."""
TARRIES = 1.7
"""Of the time between the peer's last two pings, until this side pings itself: above what the peer's pause may grow by."""
JITTER = 1.1
"""Up to which a pause is stretched: never shortened, so that no minute has more than one."""


class Lifetime:
    """Of the mappings under the paths to one peer: the longest pause that they have survived, and the longest to try."""

    def __init__(self, settings: ClientSettings) -> None:
        self._least, self._wanted = settings.ping_interval, settings.idle_ping
        self.forget()

    def forget(self) -> None:
        """This host is in another network."""
        self.good = self._least
        self._most = self._wanted

    @property
    def next(self) -> float:
        """Seconds of the pause to try next."""
        return max(self._least, min(self._most, self.good * GROWS))

    def passed(self, pause: float) -> None:
        """A ping after such a pause was answered."""
        self.good = max(self.good, pause)

    def failed(self, pause: float) -> None:
        """A path was dead after such a pause. None as long follows."""
        if pause > self._least:
            self._most = max(self._least, min(self._most, self.good, pause / GROWS))
            self.good = self._most


class Keepalive:
    """Of one path, since `now`."""

    def __init__(
        self, lifetime: Lifetime, settings: ClientSettings, rng: random.Random, now: float
    ) -> None:
        self._lifetime = lifetime
        self._idle_after = settings.idle_after
        self._least, self._most = settings.ping_interval, settings.idle_ping
        self._rng = rng
        self._used_at = now
        self._pause: float | None = None
        """The present one, if the path is idle."""
        self._asked_at: float | None = None
        """When the peer's last ping came."""

    def is_idle(self, now: float) -> bool:
        """No program's datagram has been sent on it for a while."""
        return now - self._used_at >= self._idle_after

    def used(self, now: float) -> bool:
        """A program's datagram has been sent. Whether the path was idle before."""
        was_idle = self.is_idle(now)
        self._used_at, self._pause = now, None
        return was_idle

    def answered(self, now: float) -> float | None:
        """The peer hears this side: seconds until the next ping; None: those of a path in use."""
        if self._pause is not None:
            self._lifetime.passed(self._pause)
        self._pause = self._lifetime.next if self.is_idle(now) else None
        return None if self._pause is None else self._pause * self._rng.uniform(1.0, JITTER)

    def asked(self, now: float) -> float | None:
        """The peer pings: seconds until this side does, if the peer stops; None: as it would have."""
        before, self._asked_at = self._asked_at, now
        if before is None or not self.is_idle(now):
            return None
        self._pause = None
        return TARRIES * max(self._least, min(self._most, now - before))

    def died(self) -> None:
        """Nothing answers any more."""
        if self._pause is not None:
            self._lifetime.failed(self._pause)
