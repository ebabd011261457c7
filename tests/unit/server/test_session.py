"""One pair, whatever the method: when an attempt begins, and what its end means."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.timers import Timers
from nat_traversal.server.attempts import AttemptBudgets
from nat_traversal.server.member import Member, SocketState
from nat_traversal.server.methods.method import Attempt, Method, NoPath, Outcome, Proven
from nat_traversal.server.session import Session, SessionState, numbers
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_offer

QUESTION = do.SendMessage(m.Heartbeat(1), 1)
SETTINGS = ServerSettings()
ENDPOINT = Endpoint("203.0.113.2", 40_000)
SEEN = m.Candidate("srflx", ENDPOINT)
PUBLIC = b"public".ljust(32, b".")


@dataclass
class Scripted:
    """A method that does what the test says."""

    attempt: Attempt
    name: str = "scripted"
    deadline: float | None = None
    is_gathering: bool = False
    outcome: Outcome | None = None
    next_outcome: Outcome | None = None
    heard: list[tuple[str, m.Message]] = field(default_factory=list)

    def begin(self, now: float) -> list[do.Action]:
        self.deadline = now + 1.0
        return [QUESTION]

    def socket_shown(self, now: float) -> list[do.Action]:
        return self.timed_out(now)

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        self.heard.append((member.id, message))
        return self.timed_out(now)

    def timed_out(self, now: float) -> list[do.Action]:
        self.deadline = now + 2.0
        self.outcome = self.next_outcome
        return []

    @property
    def round(self) -> int:
        return 1


class Pair:
    """host_a at connection 1, host_b at connection 2, and the attempts that were made."""

    def __init__(self, generation_a: int = 1, generation_b: int = 1) -> None:
        self.a = Member("host_a", 1, generation_a, 0.0, an_offer("a1"))
        self.b = Member("host_b", 2, generation_b, 0.0, an_offer("b1"))
        self.timers = Timers()
        self.attempts: list[Scripted] = []
        self.session = Session(
            (self.b, self.a),
            attempts=numbers(),
            timers=self.timers,
            rng=random.Random(0),
            settings=SETTINGS,
            budgets=AttemptBudgets(SETTINGS, Counters()),
            make_method=self.make,
        )

    def make(self, attempt: Attempt) -> Method:
        self.attempts.append(Scripted(attempt))
        return self.attempts[-1]

    def attempting(self) -> Pair:
        assert self.session.begin(0.0) == [QUESTION]
        return self

    def ended(self, outcome: Outcome) -> list[do.Action]:
        """What follows when the timer is due and the method ends so."""
        self.attempts[-1].next_outcome = outcome
        assert list(self.timers.due(1.0)) == [self.session]
        return self.session.timed_out(1.0)


def test_members_are_sorted_by_id_and_know_each_other() -> None:
    pair = Pair()
    assert pair.session.members == (pair.a, pair.b)
    assert pair.session.peer_of(pair.a) is pair.b
    assert pair.session.peer_of(pair.b) is pair.a


def test_two_that_still_have_their_path_need_no_attempt() -> None:
    pair = Pair(generation_a=0, generation_b=0)
    assert pair.session.begin(0.0) == []
    assert pair.session.state is SessionState.CONNECTED
    assert pair.attempts == []
    assert pair.timers.deadline() is None


def test_attempt_begins_if_either_has_no_path() -> None:
    pair = Pair(generation_a=0, generation_b=1).attempting()
    assert pair.session.state is SessionState.ATTEMPTING
    (attempt,) = pair.attempts
    assert (attempt.attempt.number, attempt.attempt.members) == (1, (pair.a, pair.b))


def test_timer_follows_the_methods_deadline() -> None:
    pair = Pair().attempting()
    assert pair.timers.deadline() == 1.0
    assert list(pair.timers.due(1.0)) == [pair.session]
    pair.session.timed_out(1.0)
    assert pair.timers.deadline() == 3.0
    pair.session.message_arrived(pair.a, m.HelloSent(1), 1.5)
    assert pair.timers.deadline() == 3.5


def test_method_hears_what_a_member_says_and_of_its_socket() -> None:
    pair = Pair().attempting()
    pair.session.message_arrived(pair.b, m.HelloSent(7), 0.5)
    assert pair.attempts[0].heard == [("host_b", m.HelloSent(7))]
    pair.session.socket_shown(0.75)
    assert pair.timers.deadline() == 2.75


def test_proof_connects_the_pair_and_is_told_once() -> None:
    pair = Pair().attempting()
    assert pair.ended(Proven(2)) == [do.Tell(note.PairConnected("host_a", "host_b", 1, 2))]
    assert pair.session.state is SessionState.CONNECTED
    assert pair.timers.deadline() is None
    assert pair.session.message_arrived(pair.a, m.Established(1, 2), 2.0) == []
    assert pair.session.socket_shown(2.0) == []


def test_failure_is_told_to_both_and_uses_their_sockets_up() -> None:
    pair = Pair().attempting()
    for member in (pair.a, pair.b):
        assert member.announced(1, 1, SEEN)
    assert pair.ended(NoPath(m.Verdict.NO_PATH, "why")) == [
        do.SendMessage(m.Failed(1, "no-path", "why"), 1),
        do.SendMessage(m.Failed(1, "no-path", "why"), 2),
        do.Tell(note.PairFailed("host_a", "host_b", 1, "no-path", "why")),
    ]
    assert pair.session.state is SessionState.IDLE
    assert (pair.a.socket, pair.b.socket) == (SocketState.USED, SocketState.USED)
    assert pair.timers.deadline() is None


def test_retry_begins_the_next_attempt_with_numbers_that_go_on() -> None:
    pair = Pair().attempting()
    first = pair.attempts[0].attempt
    assert next(first.transactions) == 1
    pair.ended(NoPath(m.Verdict.NO_PATH, "why"))
    assert pair.session.message_arrived(pair.a, m.Retry(2, PUBLIC), 5.0) == [QUESTION]
    second = pair.attempts[1].attempt
    assert (second.number, next(second.transactions)) == (2, 2)
    assert (pair.a.generation, pair.a.socket) == (2, SocketState.AWAITED)


def test_retry_while_sockets_are_gathered_belongs_to_that_attempt() -> None:
    pair = Pair().attempting()
    pair.attempts[0].is_gathering = True
    assert pair.session.message_arrived(pair.a, m.Retry(2, PUBLIC), 0.5) == []
    assert len(pair.attempts) == 1
    assert pair.a.generation == 2


def test_retry_after_the_gathering_replaces_the_attempt() -> None:
    pair = Pair().attempting()
    assert pair.session.message_arrived(pair.a, m.Retry(2, PUBLIC), 0.5) == [QUESTION]
    assert [each.attempt.number for each in pair.attempts] == [1, 2]


def test_attempts_beyond_the_pairs_budget_begin_later_each_in_its_turn() -> None:
    pair = Pair().attempting()
    for number in range(2, 10):
        pair.session.message_arrived(pair.a, m.Retry(number, PUBLIC), 0.5)
    assert [each.attempt.number for each in pair.attempts] == [1, 2, 3]
    assert pair.session.message_arrived(pair.a, m.Established(3, 1), 1.0) == [], "it is over"
    due = pair.timers.deadline()
    assert due is not None
    assert due == pytest.approx(5.0), "the burst is spent, and one is added every five seconds"
    assert list(pair.timers.due(due)) == [pair.session]
    assert pair.session.timed_out(due) == [QUESTION]
    assert len(pair.attempts) == 4
    assert pair.session.state is SessionState.ATTEMPTING
    assert pair.a.generation == 9, "the newest socket counts"


def test_a_pair_that_had_rest_has_its_burst_again() -> None:
    pair = Pair().attempting()
    for number, at in enumerate((0.5, 0.5, 20.0, 20.0, 20.0), 2):
        pair.session.message_arrived(pair.a, m.Retry(number, PUBLIC), at)
    assert len(pair.attempts) == 6


def test_session_that_waits_for_its_budget_is_over_when_a_member_leaves() -> None:
    pair = Pair().attempting()
    for number in (2, 3, 4):
        pair.session.message_arrived(pair.a, m.Retry(number, PUBLIC), 0.5)
    assert pair.session.state is SessionState.WAITING
    pair.session.member_left()
    assert pair.timers.deadline() is None


def test_retry_with_a_socket_that_a_round_has_used_is_late() -> None:
    """Its ephemeral key has been given out, and serves one round."""
    pair = Pair().attempting()
    pair.a.socket = SocketState.USED
    assert pair.session.message_arrived(pair.a, m.Retry(1, PUBLIC), 0.5) == []
    assert len(pair.attempts) == 1


def test_key_that_a_retry_brings_is_offered_from_then_on() -> None:
    pair = Pair().attempting()
    pair.session.message_arrived(pair.a, m.Retry(2, PUBLIC), 0.5)
    assert pair.a.offer == replace(an_offer("a1"), public=PUBLIC)
    assert pair.a.told == 2


def test_socket_that_was_ordered_is_ready_with_its_key_and_its_announce_in_either_order() -> None:
    for key_first in (True, False):
        pair = Pair().attempting()
        pair.a.socket = SocketState.USED
        pair.a.expect(2)
        for is_key in (key_first, not key_first):
            assert not pair.a.is_ready
            if is_key:
                pair.session.message_arrived(pair.a, m.SocketOpened(2, PUBLIC), 0.5)
            else:
                assert pair.a.announced(1, 2, SEEN)
        assert pair.a.is_ready
        assert pair.a.offer.public == PUBLIC


def test_session_is_over_when_a_member_leaves() -> None:
    pair = Pair().attempting()
    pair.session.member_left()
    assert pair.timers.deadline() is None


def test_member_keeps_the_newest_candidate_of_each_kind() -> None:
    member = a_member()
    relayed, moved = Endpoint("192.0.2.9", 1), Endpoint("203.0.113.2", 50_000)
    came = (("srflx", ENDPOINT), ("relay", relayed), ("srflx", moved))
    for number, (kind, endpoint) in enumerate(came, 1):
        assert member.announced(number, 1, m.Candidate(kind, endpoint))
    assert set(member.endpoints) == {relayed, moved}
    assert member.announced(4, 2, SEEN)
    assert member.endpoints == (ENDPOINT,), "a fresh socket has none of the old one's"


def a_member(generation: int = 1, number: int = 0) -> Member:
    return Member("host_a", 1, generation, 0.0, an_offer("a1"), number)


def test_announce_counts_once_and_never_again_when_a_later_one_has() -> None:
    member = a_member(number=5)
    moved = m.Candidate("srflx", Endpoint("203.0.113.2", 50_000))
    assert not member.announced(5, 1, SEEN), "it was made before the registration"
    assert member.announced(7, 1, SEEN)
    for replayed in (7, 6):
        assert not member.announced(replayed, 1, moved)
    assert member.endpoints == (ENDPOINT,)
    assert member.announced(8, 1, moved)


def test_announce_is_at_most_one_socket_ahead_of_what_the_host_has_said() -> None:
    member = a_member(generation=3)
    assert not member.announced(1, 5, SEEN)
    assert not member.announced(1, 2, SEEN)
    assert member.endpoints == ()
    assert member.announced(1, 4, SEEN), "none of these used the number up"
    assert not member.announced(2, 5, SEEN), "announces do not carry each other ahead"
    member.opened(4, PUBLIC)
    assert member.announced(2, 5, SEEN)


def test_numbers_wrap_to_1() -> None:
    counting = numbers()
    found = [next(counting) for _ in range(65_537)]
    assert (found[0], found[65_534], found[65_535]) == (1, 65_535, 1)
