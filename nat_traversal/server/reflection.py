"""Answers over UDP to where no host has shown yet that it receives: anybody can forge a source, and so aim them. Pure.

They are no longer than what they answer, but a host that may register could draw as many as it likes at a victim, each at
another of its ports. So they are counted by address. Those to the address of the host's own control connection,
which nobody can forge, have a budget of their own: a forger leaves it to the hosts that are there.
"""

from __future__ import annotations

from nat_traversal.machine.counters import Counters
from nat_traversal.server.buckets import Buckets
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.source import source_of

AT_ONCE = 4.0
"""Seconds' worth of answers at once: that many attempts of one source may begin at once, too."""


class Reflection:
    """The budgets of all addresses."""

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
        self._withheld = counters.counter(
            "answers-withheld", "an answer beyond the budget of an address that is yet to be shown"
        )
        self.reconfigure(settings)

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other budgets, and all of them full."""
        rate = settings.unproven_per_source
        self._budgets: Buckets[tuple[bool, str]] = Buckets(AT_ONCE * rate, rate, settings.sources)

    def may_go(self, destination: Endpoint, home: str, now: float) -> bool:
        """Whether one answer may go there, to a host whose control connection comes from `home` (`source_of`)."""
        source = source_of(destination.address)
        if self._budgets.take((source == home, source), now):
            return True
        self._withheld.value += 1
        return False
