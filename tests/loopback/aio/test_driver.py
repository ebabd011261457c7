"""The driver: one event after the other, one timer."""

from __future__ import annotations

import asyncio
from typing import Any

from nat_traversal.aio.driver import Driver
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from tests.loopback.support import eventually


class Machine:
    """Answers each event with the actions that the test has listed; has one deadline."""

    def __init__(self) -> None:
        self.events: list[e.Event] = []
        self.answers: dict[type[e.Event], list[do.Action]] = {}
        self.next_deadline: float | None = None
        self.early = 0

    def handle(self, event: e.Event, now: float) -> list[do.Action]:
        self.events.append(event)
        if isinstance(event, e.TimerFired):
            if self.early:
                self.early -= 1  # not quite due yet, so the deadline stays
            else:
                self.next_deadline = None
        return self.answers.get(type(event), [])

    def deadline(self) -> float | None:
        return self.next_deadline


class Recorder(Driver):
    """Feeds an event back while it carries out an action."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.done: list[str] = []

    def _carry_out(self, action: do.Action) -> None:
        self.done.append(f"begin {type(action).__name__}")
        if isinstance(action, do.OpenControl):
            self.feed(e.ControlBroken("at once"))
        self.done.append(f"end {type(action).__name__}")


async def test_an_event_that_comes_up_during_an_action_waits_its_turn() -> None:
    machine = Machine()
    driver = Recorder(machine)
    machine.answers = {
        e.ControlOpened: [do.OpenControl(), do.OpenUdp(1)],
        e.ControlBroken: [do.CloseUdp(1)],
    }
    driver.feed(e.ControlOpened())
    assert driver.done == [
        *("begin OpenControl", "end OpenControl"),
        *("begin OpenUdp", "end OpenUdp"),
        *("begin CloseUdp", "end CloseUdp"),
    ]
    assert machine.events == [e.ControlOpened(), e.ControlBroken("at once")]


async def test_a_timer_that_fires_early_fires_again() -> None:
    machine = Machine()
    driver = Recorder(machine)
    machine.next_deadline = asyncio.get_running_loop().time()
    machine.early = 2
    driver.feed(e.ControlOpened())
    await eventually(lambda: machine.next_deadline is None, "the deadline is met")
    assert machine.events == [e.ControlOpened(), *[e.TimerFired()] * 3]


async def test_a_deadline_that_moves_moves_the_timer() -> None:
    machine = Machine()
    driver = Recorder(machine)
    now = asyncio.get_running_loop().time()
    for deadline in (now + 3600, now, None, now):
        machine.next_deadline = deadline
        driver.feed(e.ControlOpened())
    await eventually(lambda: machine.next_deadline is None, "the deadline is met")
    assert machine.events == [*[e.ControlOpened()] * 4, e.TimerFired()]


async def test_a_mistake_in_an_action_reaches_the_loop_and_stops_nothing() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    machine = Machine()
    driver = Driver(machine)
    machine.answers = {e.ControlOpened: [do.OpenControl()]}
    driver.feed(e.ControlOpened())
    driver.feed(e.StopRequested())
    failed = e.ActionFailed(do.OpenControl(), "NotImplementedError")
    assert machine.events == [e.ControlOpened(), failed, e.StopRequested()]
    assert isinstance(told[0]["exception"], NotImplementedError)
