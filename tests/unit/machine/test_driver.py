"""What runs a machine: the order of events and actions, and its one timer."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from nat_traversal.errors import UsageError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.driver import Driver
from nat_traversal.machine.failures import in_words, lacks_room
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


def test_error_of_an_action_becomes_an_event_after_the_actions_that_follow() -> None:
    failing, following, answer = do.OpenUdp(1), do.CloseControl(), do.OpenUdp(2)
    full = OSError(errno.EMFILE, "Too many open files")
    failed = e.ActionFailed(failing, in_words(full), lacks_room=True)
    clock = Clock()
    machine = Scripted({STOP: [failing, following], failed: [answer]})
    driver = Recorder(machine, clock)
    machine.due = 5.0

    def fail() -> None:
        raise full

    driver.meanwhile[failing] = fail
    driver.feed(STOP)
    assert driver.done == [failing, following, answer]
    assert [event for _, event in machine.heard] == [STOP, failed]
    assert "ulimit -n" in failed.reason
    machine.due = None
    clock.run_to(5.0)
    assert machine.heard[-1] == (5.0, e.TimerFired())


def test_mistake_in_an_action_is_seen_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    machine = Scripted({STOP: [do.OpenControl(), do.OpenUdp(1)]})
    driver = Recorder(machine, Clock())

    def fail() -> None:
        raise ZeroDivisionError

    driver.meanwhile[do.OpenControl()] = fail
    driver.feed(STOP)
    assert driver.done == [do.OpenControl(), do.OpenUdp(1)]
    assert "ZeroDivisionError" in caplog.text


def test_error_of_the_machine_itself_leaves_the_timer_armed() -> None:
    class Broken(Scripted):
        def handle(self, event: e.Event, now: float) -> list[do.Action]:
            super().handle(event, now)
            if event == STOP:
                raise LookupError
            return []

    clock, machine = Clock(), Broken({})
    driver = Recorder(machine, clock)
    machine.due = 1.0
    with pytest.raises(LookupError):
        driver.feed(STOP)
    machine.due = None
    clock.run_to(2.0)
    assert machine.heard == [(0.0, STOP), (1.0, e.TimerFired())]


@pytest.mark.parametrize(
    ("error", "words", "lacks"),
    [
        (OSError(errno.ENFILE, "x"), "this host has no file descriptor left", True),
        (OSError(errno.ENOBUFS, "x"), "no memory left for sockets", True),
        (OSError(errno.EPERM, "Operation not permitted"), "Operation not permitted", False),
        (OSError("odd"), "odd", False),
        (LookupError(), "LookupError", False),
    ],
)
def test_errors_in_words(error: Exception, words: str, lacks: bool) -> None:
    assert words in in_words(error)
    assert lacks_room(error) is lacks


def test_want_of_room_is_seen_behind_another_error() -> None:
    error = UsageError("cannot use UDP")
    error.__cause__ = OSError(errno.ENOBUFS, "x")
    assert lacks_room(error)


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
