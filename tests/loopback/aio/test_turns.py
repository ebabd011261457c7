"""The server's turns for control messages, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nat_traversal import ServerSettings
from nat_traversal.aio.turns import SLICE, Turns
from nat_traversal.machine.counters import Counters
from nat_traversal.server.buckets import Bucket
from nat_traversal.server.fair_queue import Rank
from tests.sim.clock import Call, Clock

SETTINGS = ServerSettings(control_burst=10.0, control_per_source=1.0, control_share=0.5)
COST = 0.001
"""Seconds that a message takes."""


class Loop(Clock):
    """As much of an event loop as turns take."""

    def call_soon(self, action: Callable[[], object]) -> Call:
        return self.call_at(self.now, action)

    def _step(self) -> None:
        when, _, action = heapq.heappop(self._heap)
        self.now = max(self.now, when)  # what has run took time
        action()


@dataclass
class Speaker:
    """A connection that has some messages to say."""

    turns: Turns
    loop: Loop
    source: str
    messages: int
    rank: Rank = Rank.KNOWN
    handled: list[float] = field(default_factory=list)
    """When."""
    units: float = 0.0
    budget: Bucket | None = None

    def turn(self, now: float) -> None:
        self.loop.now += COST
        self.handled.append(self.loop.now)
        assert self.budget is not None
        self.budget.charge(now, self.units)
        if len(self.handled) < self.messages:
            self.turns.want(self)  # type: ignore[arg-type]


def a_stage(monkeypatch: Any) -> tuple[Turns, Loop, Counters]:
    loop, counters = Loop(), Counters()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    monkeypatch.setattr(asyncio, "TimerHandle", Call)
    return Turns(SETTINGS, counters), loop, counters


def speak(turns: Turns, loop: Loop, *speakers: Speaker) -> None:
    for each in speakers:
        turns.want(each)  # type: ignore[arg-type]
    loop.run_to(100.0)


def test_the_loop_looks_after_others_between_two_slices(monkeypatch: Any) -> None:
    turns, loop, _ = a_stage(monkeypatch)
    talker = Speaker(turns, loop, "a", messages=20)
    others: list[float] = []
    loop.at(COST, lambda: others.append(loop.now))
    speak(turns, loop, talker)
    assert len(talker.handled) == 20
    assert others == [max(others)]
    assert others[0] <= SLICE + COST


def test_a_source_beyond_its_budget_waits_for_the_others_and_leaves_the_loop_its_share(
    monkeypatch: Any,
) -> None:
    turns, loop, counters = a_stage(monkeypatch)
    busy = Speaker(turns, loop, "busy", messages=100, units=5.0)
    calm = Speaker(turns, loop, "calm", messages=5)
    newcomer = Speaker(turns, loop, "new", messages=1, rank=Rank.NEW)
    speak(turns, loop, busy, calm, newcomer)
    assert counters["messages-deferred"] > 90
    assert len(busy.handled) == 100
    assert max(calm.handled) < busy.handled[10]
    assert newcomer.handled[0] < busy.handled[10]
    assert busy.handled[-1] >= 100 * COST / SETTINGS.control_share * 0.9, (
        "it rests as long as it works"
    )


def test_who_is_within_the_budget_does_not_wait_for_the_rest(monkeypatch: Any) -> None:
    turns, loop, _ = a_stage(monkeypatch)
    busy = Speaker(turns, loop, "busy", messages=100, units=20.0)
    calm = Speaker(turns, loop, "calm", messages=1)
    loop.at(0.05, lambda: turns.want(calm))  # type: ignore[arg-type]
    speak(turns, loop, busy)
    assert 0.05 < calm.handled[0] <= 0.05 + SLICE + 2 * COST
