"""Whether a path that takes programs' datagrams is answered at all: looked at only while datagrams flow. Pure."""

from __future__ import annotations

from collections.abc import Callable

from nat_traversal.settings import ClientSettings

LOOKS = 4
"""Looks in the time after which silence counts: so exact is the moment at which something came."""


class Watch:
    """`authentic` tells how many authentic frames have come on the path, of whatever kind."""

    def __init__(self, settings: ClientSettings, authentic: Callable[[], int]) -> None:
        self._settings = settings
        self._authentic = authentic
        self._pause = settings.quiet_after / LOOKS
        self.deadline: float | None = None
        """When to look again; None while no datagram waits for a sign of life."""
        self._count = 0
        self._quiet_since = 0.0
        self._offered_at = -settings.quick_for
        self._looked_at = 0.0
        self.heard_at = 0.0
        """When something authentic was seen to have come last, while datagrams flowed."""

    def is_busy(self, now: float) -> bool:
        """Whether a datagram was sent a short time ago."""
        return now - self._offered_at < self._settings.quick_for

    def offered(self, now: float) -> None:
        """A program's datagram has been sent."""
        self._offered_at = now
        if self.deadline is None:
            self._count, self._quiet_since, self._looked_at = self._authentic(), now, now
            self.deadline = now + self._pause

    def is_quiet(self, now: float) -> bool:
        """Nothing authentic has come for `quiet_after` since a datagram was sent."""
        if self.deadline is None or now < self.deadline:
            return False
        count, looked_at = self._authentic(), self._looked_at
        self._looked_at, self.deadline = now, now + self._pause
        if count == self._count:
            return now - self._quiet_since >= self._settings.quiet_after
        self._count, self._quiet_since, self.heard_at = count, now, now
        if self._offered_at <= looked_at:
            self.deadline = None  # all that was sent before is answered
        return False
