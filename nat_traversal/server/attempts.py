"""When an attempt may begin: budgets of its pair, of its hosts' sources, and of all."""

from __future__ import annotations

from nat_traversal.machine.counters import Counters
from nat_traversal.server.buckets import Bucket, Buckets
from nat_traversal.server.grants import Grants
from nat_traversal.settings import ServerSettings

MOST_WAIT = 30.0
"""Seconds. Nobody waits longer for an attempt, however many wait."""


class AttemptBudgets:
    """Nobody is refused: an attempt beyond a budget begins later.

    A pair has a budget of its own, whichever of its connections come and go. It does for a client that comes
    back after a network change, a suspend or a restart, and then again.
    """

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
        self._counters = counters
        self.grants = Grants()
        """The turns of pairs that guess ports."""
        self._begun = counters.counter("attempts-begun", "an attempt began")
        self._deferred = counters.counter(
            "attempts-deferred", "an attempt had to wait for a budget of attempts"
        )
        self.reconfigure(settings)

    def ended(self, method: str, outcome: str) -> None:
        """Count an attempt that has ended: `outcome` is ``connected``, or the verdict."""
        meaning = "an attempt ended"
        counter = self._counters.counter("attempts-ended", meaning, method=method, outcome=outcome)
        counter.value += 1

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other budgets, and all of them full."""
        rate, every, most = settings.attempts_per_source, settings.attempt_every, settings.sources
        self._pairs: Buckets[tuple[str, str]] = Buckets(settings.attempts_burst, 1.0 / every, most)
        self._sources: Buckets[str] = Buckets(4.0 * rate, rate, most)
        self._all = Bucket(settings.attempts_in_all, settings.attempts_in_all)

    def reserve(self, pair: tuple[str, str], sources: frozenset[str], now: float) -> float:
        """Seconds until the next attempt of `pair` may begin, which then does: it is paid for.

        `pair`: its ids, sorted. `sources`: of its hosts; a host whose source is not known has none.
        """
        buckets = [self._pairs.of(pair, now), self._all]
        buckets += [self._sources.of(source, now) for source in sources]
        wait = max(bucket.reserve(now, MOST_WAIT) for bucket in buckets)
        (self._deferred if wait else self._begun).value += 1
        return wait
