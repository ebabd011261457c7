"""Learns at which age a peer's direct paths die, and when the next one has to be opened before that.

Some NATs end a mapping at an absolute age, whatever flows through it (RFC 4787 section 4.3 asks for none such). A path is then
as good as dead at that moment. So its successor is opened before, and takes over while it still carries.
"""

from __future__ import annotations

from nat_traversal.paths.path import Path
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint

SAME = 6.0
"""Seconds by which two ages may differ. A mapping is a little older than its path, and the last sign of life may come one
pause between pings before the end."""
LEAST = 20.0
"""Seconds. Paths that die younger die of something else."""
LEAD = 15.0
"""Seconds before its end, at most a third of its age, at which a path gets its successor: enough for a second try."""
LATER = 3.0
"""Seconds by which the host whose id sorts second leaves the other one the first word."""


class Renewal:
    """Of one peer. `is_second`: this host's id sorts behind the peer's."""

    def __init__(self, settings: ClientSettings, *, is_second: bool) -> None:
        self._told = settings.mapping_age or None
        self._later = LATER if is_second else 0.0
        self._learned: float | None = None
        self._died_at_age: float | None = None
        """The last one."""
        self._newest: Path | None = None
        self._remote: Endpoint | None = None
        self._since = 0.0
        self._is_counted = False
        self.deadline: float | None = None
        """When to open the next path."""

    @property
    def age(self) -> float | None:
        """At which paths die; None: at none that is known."""
        return self._told or self._learned

    def look(self, newest: Path | None, now: float) -> None:
        """The newest direct path, after each event."""
        before = self._newest
        if before is not None and not self._is_counted and before.has_died(now):
            self._is_counted = True
            self._died(before.heard_at - self._since)
        if newest is None:
            self._newest = self.deadline = None
        elif newest is not before:
            self._begins(newest, newest.began_at)
        elif newest.remote != self._remote:  # followed to a new mapping: the one before has died
            self._died(now - self._since)
            self._begins(newest, now)

    def _begins(self, path: Path, since: float) -> None:
        """The newest mappings of that path are no older than that."""
        self._newest, self._remote, self._since = path, path.remote, since
        self._is_counted = False
        age = self.age
        self.deadline = None if age is None else since + age - min(LEAD, age / 3) + self._later

    def taken(self) -> None:
        """The deadline was due: the next path says when the next one is."""
        self.deadline = None

    def forget(self) -> None:
        """This host is in another network."""
        self._learned = self._died_at_age = None

    def _died(self, age: float) -> None:
        before, self._died_at_age = self._died_at_age, age
        if before is not None and min(age, before) >= LEAST and abs(age - before) <= SAME:
            self._learned = min(age, before)
