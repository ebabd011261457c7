"""A host that was suspended: its clocks say so."""

from __future__ import annotations

import asyncio
import time

import pytest

from nat_traversal.aio.wake import LATE, LEAP, STEP, WakeWatch, suspended, timeout
from tests.features import linux_only
from tests.loopback.support import eventually


async def test_a_sleep_is_noticed_once_and_a_clock_that_drifts_is_none() -> None:
    slept = [100.0]
    looks: list[float] = []
    woken: list[float] = []

    def clock() -> float:
        looks.append(slept[0])
        return slept[0]

    watch = WakeWatch(0.001, lambda: woken.append(slept[0]), clock=clock, wall=time.monotonic)
    slept[0] += LEAP / 2
    await eventually(lambda: looks.count(slept[0]) >= 2, "it has looked")
    assert woken == []
    slept[0] += 3600.0
    await eventually(lambda: looks.count(slept[0]) >= 3, "it has looked again")
    assert woken == [slept[0]]
    watch.close()


async def test_a_wall_clock_that_jumps_an_hour_either_way_is_noticed_and_one_that_drifts_is_not() -> (
    None
):
    ahead, woken, looked = [0.0], list[float](), list[float]()
    watch = WakeWatch(
        0.001,
        lambda: woken.append(ahead[0]),
        clock=lambda: 0.0,
        wall=lambda: time.monotonic() + ahead[0],
        looked=lambda: looked.append(ahead[0]),
    )
    for by in (STEP / 2, 3600.0, -3600.0):
        ahead[0] += by
        looked.clear()
        await eventually(lambda: looked.count(ahead[0]) >= 2, "it has looked")
    watch.close()
    assert woken == [STEP / 2 + 3600.0, STEP / 2]


async def test_a_program_that_was_stopped_notices_it_by_a_look_that_is_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, ahead = asyncio.get_running_loop(), [0.0]
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + ahead[0])
    woken, looked = list[float](), list[float]()
    watch = WakeWatch(
        0.05,
        lambda: woken.append(ahead[0]),
        clock=lambda: 0.0,
        wall=lambda: real() + ahead[0],  # it has run on as well
        looked=lambda: looked.append(ahead[0]),
    )
    for by in (LATE / 2, LATE + 1.0):
        ahead[0] += by
        looked.clear()
        await eventually(lambda: looked.count(ahead[0]) >= 2, "it has looked")
    watch.close()
    assert woken == [LATE / 2 + LATE + 1.0]


@pytest.mark.parametrize(("asleep", "is_over"), [(0.0, False), (1800.0, False), (3600.0, True)])
async def test_a_time_limit_of_an_hour_counts_the_time_asleep(
    asleep: float, *, is_over: bool
) -> None:
    slept, looks = [100.0], list[float]()

    def clock() -> float:
        looks.append(slept[0])
        return slept[0]

    async def for_an_hour() -> None:
        async with timeout(3600.0, interval=0.001, clock=clock):
            slept[0] += asleep
            await eventually(lambda: looks.count(slept[0]) >= 4, "it has looked")
            await asyncio.sleep(0.01)

    if is_over:
        with pytest.raises(TimeoutError):
            await for_an_hour()
    else:
        await for_an_hour()


def test_a_system_without_a_clock_that_counts_sleep_has_never_slept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert suspended() == 0.0


@linux_only
def test_the_two_clocks_of_this_host_tell_its_sleep() -> None:
    before = suspended()
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    after = suspended()
    assert before >= -LEAP
    assert min(before, after) - LEAP <= boot <= max(before, after) + LEAP
