"""Token buckets, and a bounded table of them. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
_ROUNDING = 1e-9
"""Units. After a pause as long as `Bucket.wait` said the unit is there, whatever floats add up to."""


class Bucket:
    """`burst` units at once, `rate` a second in the long run."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: float, rate: float, now: float = 0.0) -> None:
        self._burst = float(burst)
        self._rate = rate
        self._left = self._burst
        self._at = now

    def take(self, now: float, units: float = 1.0) -> bool:
        """Take `units` if they are there; else take nothing, and say False."""
        left = self._refilled(now)
        if left < units - _ROUNDING:
            return False
        self._left = left - units
        return True

    def charge(self, now: float, units: float) -> None:
        """Take `units` in any case. The bucket may owe some afterwards, as many as its burst."""
        self._left = max(self._refilled(now) - units, -self._burst)

    def reserve(self, now: float, most_wait: float) -> float:
        """Take one unit in any case. Seconds until it would have been there, at most `most_wait`."""
        self._left = max(self._refilled(now) - 1.0, -self._rate * most_wait)
        return max(0.0, -self._left / self._rate)

    def wait(self, now: float, units: float = 1.0) -> float:
        """Seconds until `take` succeeds; 0 if it does now."""
        lacking = units - self._refilled(now)
        return lacking / self._rate if lacking > _ROUNDING else 0.0

    def has(self, now: float) -> bool:
        """Whether `take` of one unit would succeed."""
        return self._refilled(now) >= 1.0 - _ROUNDING

    def is_full(self, now: float) -> bool:
        """Whether it is as good as new."""
        return self._refilled(now) >= self._burst

    def _refilled(self, now: float) -> float:
        left = self._left + self._rate * (now - self._at)
        self._left = left = min(self._burst, left)
        self._at = now
        return left


class Buckets(Generic[K]):
    """A bucket for each key that has been seen lately: at most `most`, the one used longest ago makes room.

    A bucket that is full again is forgotten: it is as good as none.
    """

    def __init__(self, burst: float, rate: float, most: int = 65_536) -> None:
        self._burst = burst
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[K, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: K, now: float) -> Bucket:
        """The bucket of `key`."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[key] = Bucket(self._burst, self._rate, now)
        else:
            self._buckets.move_to_end(key)
        return bucket

    def take(self, key: K, now: float, units: float = 1.0) -> bool:
        """Take `units` from the bucket of `key` if they are there."""
        return self.of(key, now).take(now, units)

    def _make_room(self, now: float) -> None:
        """Forget two that have expired, so that the table shrinks; and one that has not, if it is full."""
        for _ in range(2):
            if not self._buckets:
                return
            oldest = next(iter(self._buckets))
            if not self._buckets[oldest].is_full(now):
                break
            del self._buckets[oldest]
        if len(self._buckets) >= self._most:
            self._buckets.popitem(last=False)
