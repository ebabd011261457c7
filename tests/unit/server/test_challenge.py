"""An id in use: who is asked, who waits, and when the question lapses."""

from __future__ import annotations

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.timers import Timers
from nat_traversal.server.challenge import ChallengeDue, Challenges
from nat_traversal.wire import messages as m

HOLDER, FIRST, SECOND, OTHER_HOLDER = 1, 2, 3, 4
WITHIN = 2.0


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def challenges(timers: Timers) -> Challenges:
    return Challenges(timers, WITHIN, ping)


def ping(connection: e.ConnectionId) -> do.Action:
    return do.SendMessage(m.Heartbeat(7), connection)


def test_holder_is_asked_once_and_its_time_begins_with_the_first_contender(
    challenges: Challenges, timers: Timers
) -> None:
    assert challenges.contend(FIRST, HOLDER, 10.0) == [ping(HOLDER)]
    assert challenges.contend(SECOND, HOLDER, 11.0) == []
    assert timers.deadline() == 10.0 + WITHIN
    assert list(timers.due(12.0)) == [ChallengeDue(HOLDER)]


def test_end_gives_the_contenders_in_their_order_and_stops_the_time(
    challenges: Challenges, timers: Timers
) -> None:
    challenges.contend(SECOND, HOLDER, 0.0)
    challenges.contend(FIRST, HOLDER, 0.0)
    assert challenges.end(HOLDER) == [SECOND, FIRST]
    assert challenges.end(HOLDER) == []
    assert timers.deadline() is None


def test_question_lapses_only_with_its_last_contender(
    challenges: Challenges, timers: Timers
) -> None:
    challenges.contend(FIRST, HOLDER, 0.0)
    challenges.contend(SECOND, HOLDER, 0.0)
    challenges.withdraw(FIRST)
    assert timers.deadline() == WITHIN
    challenges.withdraw(SECOND)
    assert timers.deadline() is None
    assert challenges.contend(FIRST, HOLDER, 5.0) == [ping(HOLDER)], "it is asked anew"


def test_host_that_contends_with_nobody_may_go(challenges: Challenges, timers: Timers) -> None:
    challenges.contend(FIRST, HOLDER, 0.0)
    challenges.withdraw(SECOND)
    assert challenges.end(HOLDER) == [FIRST]
    challenges.withdraw(FIRST)
    assert timers.deadline() is None


def test_holders_are_asked_apart(challenges: Challenges, timers: Timers) -> None:
    challenges.contend(FIRST, HOLDER, 0.0)
    assert challenges.contend(SECOND, OTHER_HOLDER, 1.0) == [ping(OTHER_HOLDER)]
    assert challenges.end(HOLDER) == [FIRST]
    assert timers.deadline() == 1.0 + WITHIN
