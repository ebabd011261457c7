"""What runs a machine: the order of events and actions, and its one timer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.driver import Driver
from tests.sim.clock import Clock

STOP, GARBLED, BROKEN = e.StopRequested(), e.ControlGarbled("noise"), e.ControlBroken("reset")


class Scripted:
    """A machine that answers each event with what the test wrote for it."""

    def __init__(self, answers: dict[e.Event, list[do.Action]]) -> None:
        self.answers = answers
        self.heard: list[tuple[float, e.Event]] = []
        self.due: float | None = None

    def handle(self, event: e.Event, now: float) -> list[do.Action]:
        self.heard.append((now, event))
        return self.answers.get(event, [])

    def deadline(self) -> float | None:
        return self.due


class Recorder(Driver):
    """Notes the actions; does for one what the test says."""

    def __init__(self, machine: Scripted, clock: Clock) -> None:
        super().__init__(machine, clock)
        self.done: list[do.Action] = []
        self.meanwhile: dict[do.Action, Callable[[], None]] = {}

    def _carry_out(self, action: do.Action) -> None:
        self.done.append(action)
        self.meanwhile.get(action, lambda: None)()


def test_event_that_comes_up_while_actions_are_carried_out_waits_its_turn() -> None:
    first, second, third = do.OpenControl(), do.CloseControl(), do.OpenUdp(1)
    machine = Scripted({STOP: [first, second], GARBLED: [third]})
    driver = Recorder(machine, Clock())
    driver.meanwhile[first] = lambda: driver.feed(GARBLED)
    driver.feed(STOP)
    assert [event for _, event in machine.heard] == [STOP, GARBLED]
    assert driver.done == [first, second, third]


def test_error_of_an_action_leaves_the_driver_usable() -> None:
    machine = Scripted({STOP: [do.OpenControl()], GARBLED: [do.CloseControl()]})
    driver = Recorder(machine, Clock())

    def fail() -> None:
        raise ZeroDivisionError

    driver.meanwhile[do.OpenControl()] = fail
    with pytest.raises(ZeroDivisionError):
        driver.feed(STOP)
    driver.feed(GARBLED)
    assert driver.done == [do.OpenControl(), do.CloseControl()]


def test_timer_follows_the_deadline() -> None:
    clock, machine = Clock(), Scripted({})
    driver = Recorder(machine, clock)
    machine.due = 5.0
    driver.feed(STOP)
    machine.due = 2.0
    driver.feed(GARBLED)
    clock.run_to(1.0)
    machine.due = 3.0
    driver.feed(BROKEN)
    machine.due = None
    clock.run_to(10.0)
    assert machine.heard == [(0.0, STOP), (0.0, GARBLED), (1.0, BROKEN), (3.0, e.TimerFired())]


def test_disarmed_driver_fires_no_timer() -> None:
    clock, machine = Clock(), Scripted({})
    driver = Recorder(machine, clock)
    machine.due = 1.0
    driver.feed(STOP)
    driver._disarm()
    clock.run_to(10.0)
    assert machine.heard == [(0.0, STOP)]
