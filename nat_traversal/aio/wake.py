"""Notices that this host was suspended: then the network may be another, and what waits should wait no longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LEAP = 1.0
"""Seconds that the clock with suspension must gain on the other before it counts: both are read in turn."""


def suspended() -> float:
    """Seconds that this host has slept since it booted: by how much its two clocks differ (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class WakeWatch:
    """Calls `woke` within `interval` seconds after the host was suspended, until `close`."""

    def __init__(
        self,
        interval: float,
        woke: Callable[[], None],
        *,
        clock: Callable[[], float] = suspended,
    ) -> None:
        self._interval = interval
        self._woke = woke
        self._clock = clock
        self._slept = clock()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(interval, self._look)

    def close(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._look)
        slept = self._clock()
        if slept - self._slept >= LEAP:
            self._slept = slept
            self._woke()
