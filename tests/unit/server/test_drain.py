"""A server that ends: attempts are let end, and each client hears when to come back."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.machine import events as e
from nat_traversal.wire import messages as m
from tests.unit.server.rig import SETTINGS, A, B, Rig


def test_hosts_without_an_attempt_go_at_once_each_with_a_time_of_its_own() -> None:
    rig = Rig()
    for connection in range(10, 400):
        rig.feed(e.ControlOpened(connection))
    rig.register(A)
    rig.feed(e.DrainRequested())
    told = {
        connection: message.retry_in
        for connection, messages in rig.messages.items()
        for message in messages
        if isinstance(message, m.GoAway)
    }
    assert rig.closed == [*range(10, 400), A]
    assert set(told) == set(rig.closed)
    assert len(set(told.values())) > 300
    first = SETTINGS.return_first
    assert [each for each in told.values() if not first <= each <= first + 1.0] == []
    assert rig.machine.registered == frozenset()


def test_more_clients_than_come_back_in_a_second_are_spread_over_more() -> None:
    rig = Rig(replace(SETTINGS, unregistered=4000))
    for connection in range(1, 4001):
        rig.feed(e.ControlOpened(connection))
    rig.feed(e.DrainRequested())
    times = sorted(rig.sent(each, m.GoAway)[0].retry_in for each in range(1, 4001))
    rate = SETTINGS.return_rate
    for second in range(8):
        due = [each for each in times if second <= each - SETTINGS.return_first < second + 1]
        assert rate * 0.8 < len(due) < rate * 1.2


def test_an_attempt_that_goes_on_is_let_end() -> None:
    rig = Rig().round_begun()
    rig.feed(e.DrainRequested())
    assert rig.machine.attempts == 1
    assert rig.closed == []
    rig.feed(e.ControlOpened(3))
    assert (rig.closed, len(rig.sent(3, m.GoAway))) == ([3], 1)
    for connection in (A, B, A):
        rig.obey(connection)
    for connection in (A, B):
        assert rig.sent(connection, m.GoAway) == []
        rig.receive(connection, m.Established(1, 1))
    assert rig.closed == [3, A, B]
    for connection in (A, B):
        assert len(rig.sent(connection, m.GoAway)) == 1
        left = [each for each in rig.sent(connection, m.PeerStatus) if each.state == "left"]
        assert not left, "neither has reason to doubt its path"


def test_an_attempt_that_does_not_end_is_ended() -> None:
    rig = Rig().round_begun()
    rig.feed(e.DrainRequested())
    rig.feed(e.DrainRequested())
    rig.wait(SETTINGS.drain_within - 8.0)
    assert rig.closed == []
    rig.wait(8.0)
    assert rig.closed == [A, B]
    assert rig.machine.deadline() is None
