"""An id in use: who is asked, who waits, and when the question lapses."""

from __future__ import annotations

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.timers import Timers
from nat_traversal.server.challenge import MOST_CONTENDERS, ChallengeDue, Challenges
from nat_traversal.wire import messages as m

HOLDER, FIRST, SECOND, OTHER_HOLDER = 1, 2, 3, 4
WITHIN, SPARED = 2.0, 3.0


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def challenges(timers: Timers) -> Challenges:
    return Challenges(timers, SPARED, ping)


def ping(connection: e.ConnectionId) -> do.Action:
    return do.SendMessage(m.Heartbeat(7), connection)


def test_holder_is_asked_once_and_its_time_begins_with_the_first_contender(
    challenges: Challenges, timers: Timers
) -> None:
    assert challenges.contend(FIRST, HOLDER, WITHIN, 10.0) == [ping(HOLDER)]
    assert challenges.contend(SECOND, HOLDER, WITHIN, 11.0) == []
    assert timers.deadline() == 10.0 + WITHIN
    assert list(timers.due(12.0)) == [ChallengeDue(HOLDER)]


def test_end_gives_the_contenders_in_their_order_and_stops_the_time(
    challenges: Challenges, timers: Timers
) -> None:
    for end in (challenges.gone, lambda holder: challenges.lives(holder, 0.0)):
        challenges.contend(SECOND, HOLDER, WITHIN, 0.0)
        challenges.contend(FIRST, HOLDER, WITHIN, 0.0)
        assert end(HOLDER) == [SECOND, FIRST]
        assert end(HOLDER) == []
        assert timers.deadline() is None


def test_holder_that_has_answered_is_left_alone_for_a_while(challenges: Challenges) -> None:
    challenges.contend(FIRST, HOLDER, WITHIN, 0.0)
    assert challenges.lives(HOLDER, 1.0) == [FIRST]
    assert challenges.contend(SECOND, HOLDER, WITHIN, 1.0 + SPARED - 0.125) is None
    assert challenges.contend(SECOND, OTHER_HOLDER, WITHIN, 1.0) == [ping(OTHER_HOLDER)]
    assert challenges.contend(SECOND, HOLDER, WITHIN, 1.0 + SPARED) == [ping(HOLDER)]


def test_life_without_a_question_spares_nobody(challenges: Challenges) -> None:
    assert challenges.lives(HOLDER, 0.0) == []
    assert challenges.contend(FIRST, HOLDER, WITHIN, 0.0) == [ping(HOLDER)]


def test_contenders_of_one_holder_are_bounded(challenges: Challenges) -> None:
    contenders = range(10, 10 + MOST_CONTENDERS)
    for contender in contenders:
        assert challenges.contend(contender, HOLDER, WITHIN, 0.0) is not None
    assert challenges.contend(FIRST, HOLDER, WITHIN, 0.0) is None
    challenges.withdraw(FIRST)
    assert challenges.gone(HOLDER) == list(contenders)


def test_question_stands_when_those_that_caused_it_have_gone(
    challenges: Challenges, timers: Timers
) -> None:
    """Whether the holder lives is of use to the next one: it may be the same one again."""
    challenges.contend(FIRST, HOLDER, WITHIN, 0.0)
    challenges.withdraw(FIRST)
    assert timers.deadline() == WITHIN
    assert challenges.contend(SECOND, HOLDER, WITHIN, 1.0) == [], "it has been asked"
    challenges.withdraw(SECOND)
    assert list(timers.due(WITHIN)) == [ChallengeDue(HOLDER)]
    assert challenges.gone(HOLDER) == []


def test_host_that_contends_with_nobody_may_go(challenges: Challenges, timers: Timers) -> None:
    challenges.contend(FIRST, HOLDER, WITHIN, 0.0)
    challenges.withdraw(SECOND)
    assert challenges.gone(HOLDER) == [FIRST]
    challenges.withdraw(FIRST)
    assert timers.deadline() is None


def test_holders_are_asked_apart(challenges: Challenges, timers: Timers) -> None:
    challenges.contend(FIRST, HOLDER, WITHIN, 0.0)
    assert challenges.contend(SECOND, OTHER_HOLDER, WITHIN, 1.0) == [ping(OTHER_HOLDER)]
    assert challenges.gone(HOLDER) == [FIRST]
    assert timers.deadline() == 1.0 + WITHIN
