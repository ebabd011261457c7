"""A host that was suspended: its clocks say so."""

from __future__ import annotations

import time

from nat_traversal.aio.wake import LEAP, WakeWatch, suspended
from tests.loopback.support import eventually


async def test_a_sleep_is_noticed_once_and_a_clock_that_drifts_is_none() -> None:
    slept = [100.0]
    looks: list[float] = []
    woken: list[float] = []

    def clock() -> float:
        looks.append(slept[0])
        return slept[0]

    watch = WakeWatch(0.001, lambda: woken.append(slept[0]), clock=clock)
    slept[0] += LEAP / 2
    await eventually(lambda: looks.count(slept[0]) >= 2, "it has looked")
    assert woken == []
    slept[0] += 3600.0
    await eventually(lambda: looks.count(slept[0]) >= 3, "it has looked again")
    assert woken == [slept[0]]
    watch.close()


def test_the_two_clocks_of_this_host_tell_its_sleep() -> None:
    before = suspended()
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    after = suspended()
    assert before >= -LEAP
    assert min(before, after) - LEAP <= boot <= max(before, after) + LEAP
