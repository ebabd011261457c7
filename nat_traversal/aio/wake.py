"""Notices that this host or program stood still: then the network may be another, and what waits should wait no longer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

LEAP = 1.0
"""Seconds that the clock with suspension must gain on the other before it counts: both are read in turn."""
LATE = 3.0
"""Seconds by which a look must be late before this program counts as stopped: a busy host is later than it should be, too."""
STEP = 10.0
"""Seconds by which the wall clock must jump before it counts: a virtual machine that was paused may show nothing else."""


def suspended() -> float:
    """Seconds that this host has slept since it booted: by how much its two clocks differ (clock_gettime(2)). A
    system that does not tell it has never slept."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:
        return 0.0
    return time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)


@contextlib.asynccontextmanager
async def timeout(
    seconds: float, *, interval: float = 5.0, clock: Callable[[], float] = suspended
) -> AsyncIterator[None]:
    """As `asyncio.timeout`, but the time that the host sleeps counts: seen within `interval` seconds after it woke. The
    wall clock may be set meanwhile."""
    slept = clock()
    async with asyncio.timeout(seconds) as limit:
        end = limit.when()
        assert end is not None

        def woke() -> None:
            if not limit.expired():
                limit.reschedule(end - (clock() - slept))

        watch = WakeWatch(interval, woke, clock=clock)
        try:
            yield
        finally:
            watch.close()


class WakeWatch:
    """Calls `woke` within `interval` seconds after the host was suspended, the program stopped or the wall clock
    set, until `close`; and `looked` at each look."""

    def __init__(
        self,
        interval: float,
        woke: Callable[[], None],
        *,
        clock: Callable[[], float] = suspended,
        wall: Callable[[], float] = time.time,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        self._interval = interval
        self._woke = woke
        self._clock = clock
        self._wall = wall
        self._looked = looked
        self._loop = asyncio.get_running_loop()
        self._slept = clock()
        self._ahead = wall() - self._loop.time()
        self._due_at = self._loop.time() + interval
        self._timer = self._loop.call_at(self._due_at, self._look)

    def close(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now, due = self._loop.time(), self._due_at
        self._due_at = now + self._interval
        self._timer = self._loop.call_at(self._due_at, self._look)
        slept, ahead = self._clock(), self._wall() - now
        has_slept = slept - self._slept >= LEAP
        has_jumped = abs(ahead - self._ahead) >= STEP
        if has_slept:
            self._slept = slept
        self._ahead = ahead
        if has_slept or has_jumped or now - due >= LATE:
            self._woke()
        self._looked()
