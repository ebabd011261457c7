"""One attempt by the contract's method: gathering, the orders, the verdict, and their times."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member, SocketState
from nat_traversal.server.methods.method import Attempt, NoPath, Outcome, Proven
from nat_traversal.server.methods.ordered_hello import OrderedHello, RoundState
from nat_traversal.server.session import numbers
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_offer

SETTINGS = ServerSettings()
A, B = 1, 2
CANDIDATE = {
    A: m.Candidate("srflx", Endpoint("203.0.113.2", 40_000)),
    B: m.Candidate("srflx", Endpoint("198.51.100.2", 40_000)),
}
ROUND_TRIP = {A: 0.25, B: 0.5}


def public_of(connection: int, generation: int) -> bytes:
    return an_offer(f"{connection} {generation}").public


class Rig:
    """An attempt with number 7; `sent` is what went to whom, newest last."""

    def __init__(self) -> None:
        self.member = {
            A: Member("host_a", A, 1, ROUND_TRIP[A], an_offer("a1"), number=0),
            B: Member("host_b", B, 1, ROUND_TRIP[B], an_offer("b1"), number=0),
        }
        members = (self.member[A], self.member[B])
        self.method = OrderedHello(Attempt(7, members, numbers(), random.Random(0), SETTINGS))
        self.sent: list[tuple[int, m.Message]] = []
        self.keep(self.method.begin(0.0))

    def keep(self, actions: list[do.Action]) -> None:
        for action in actions:
            assert isinstance(action, do.SendMessage)
            self.sent.append((action.connection, action.message))

    def take(self) -> list[tuple[int, m.Message]]:
        """What was sent since the last call."""
        taken, self.sent = self.sent, []
        return taken

    def show(self, *connections: int, generation: int = 1, now: float = 0.0) -> None:
        for connection in connections:
            member = self.member[connection]
            member.opened(generation, public_of(connection, generation))
            assert member.announced(member.number + 1, generation, CANDIDATE[connection])
            self.keep(self.method.socket_shown(now))

    def obey(self, connection: int, now: float = 0.0) -> None:
        """Say that the newest order to this host has been carried out."""
        orders = [each for to, each in self.sent if to == connection]
        order = next(each for each in reversed(orders) if isinstance(each, m.SendHello))
        self.say(connection, m.HelloSent(order.transaction), now)

    def say(self, connection: int, message: m.Message, now: float = 0.0) -> None:
        self.keep(self.method.message_arrived(self.member[connection], message, now))

    def time_out(self) -> None:
        """The present deadline is due."""
        assert self.method.deadline is not None
        self.keep(self.method.timed_out(self.method.deadline))

    def outcome(self) -> Outcome | None:
        return self.method.outcome

    def answering(self) -> Rig:
        """Round 1, all orders given and obeyed at once."""
        self.show(A, B)
        for connection in (A, B, A):
            self.obey(connection)
        assert self.method.state is RoundState.ANSWERING
        return self


def test_round_begins_with_the_last_socket_and_orders_hello_1() -> None:
    rig = Rig()
    rig.show(B)
    assert rig.take() == []
    rig.show(A)
    (to_a, start_a), (to_b, start_b), order = rig.take()
    assert isinstance(start_a, m.StartRound)
    assert isinstance(start_b, m.StartRound)
    assert (to_a, start_a.role, start_a.candidates) == (A, m.Role.A, (CANDIDATE[B],))
    assert (to_b, start_b.role, start_b.candidates) == (B, m.Role.B, (CANDIDATE[A],))
    assert start_a.token == start_b.token
    assert order == (A, m.SendHello(1, attempt=7, round=1, step=1))
    assert not rig.method.is_gathering
    assert {member.socket for member in rig.member.values()} == {SocketState.USED}


def test_start_carries_every_candidate_of_the_peer() -> None:
    rig = Rig()
    relayed = m.Candidate("relay", Endpoint("192.0.2.9", 50_000))
    rig.member[B].candidates = (relayed,)
    rig.show(B, A)
    (_, start) = rig.take()[0]
    assert isinstance(start, m.StartRound)
    assert start.candidates == (relayed, CANDIDATE[B])


def test_start_carries_what_the_peer_offers_with_the_key_of_that_very_socket() -> None:
    rig = Rig().answering()
    rig.time_out()
    rig.show(A, B, generation=2)
    starts = [(to, each) for to, each in rig.sent if isinstance(each, m.StartRound)]
    assert len(starts) == 4
    for to, start in starts:
        name, other = ("a1", A) if to == B else ("b1", B)
        public = public_of(other, start.round)  # the sockets are 1 and 2, as the rounds are
        assert start.peer == replace(an_offer(name), public=public)


def test_round_waits_for_the_key_of_a_socket_that_was_seen() -> None:
    rig = Rig().answering()
    rig.time_out()
    rig.show(A, generation=2)
    rig.take()
    assert rig.member[B].announced(2, 2, CANDIDATE[B])
    rig.keep(rig.method.socket_shown(0.0))
    assert rig.take() == []
    rig.member[B].opened(2, public_of(B, 2))
    rig.keep(rig.method.socket_shown(0.0))
    assert isinstance(rig.take()[0][1], m.StartRound)


@pytest.mark.parametrize("connection", [A, B])
def test_host_that_declines_ends_the_attempt(connection: int) -> None:
    rig = Rig()
    rig.show(A, B)
    rig.say(connection, m.Decline(6))
    assert rig.outcome() is None
    rig.say(connection, m.Decline(7))
    text = f"host_{'ab'[connection - 1]} takes no part: the two sides' keys do not fit"
    assert rig.outcome() == NoPath(m.Verdict.KEYS_DIFFER, text)
    rig.say(A + B - connection, m.Decline(7))
    assert rig.outcome() == NoPath(m.Verdict.KEYS_DIFFER, text)


def test_decline_of_what_has_succeeded_is_too_late() -> None:
    rig = Rig().answering()
    for connection in (A, B):
        rig.say(connection, m.Established(7, 1))
    rig.say(B, m.Decline(7))
    assert rig.outcome() == Proven(round=1)


def test_orders_follow_each_other_as_they_are_obeyed() -> None:
    rig = Rig().answering()
    orders = [(to, each.step) for to, each in rig.sent if isinstance(each, m.SendHello)]
    assert orders == [(A, 1), (B, 2), (A, 3)]


def test_round_trip_is_measured_from_order_to_answer() -> None:
    rig = Rig()
    rig.show(A, B, now=10.0)
    rig.obey(A, now=11.5)
    rig.obey(B, now=14.0)
    assert (rig.member[A].round_trip, rig.member[B].round_trip) == (1.5, 2.5)
    assert rig.method.deadline == 14.0 + SETTINGS.swap_within + 1.5 + 2.5


def test_proof_of_both_ends_the_attempt() -> None:
    rig = Rig().answering()
    rig.say(B, m.Established(7, 1))
    assert rig.outcome() is None
    rig.say(A, m.Established(7, 1))
    assert rig.outcome() == Proven(round=1)
    assert rig.method.deadline is None


@pytest.mark.parametrize("late", [m.Established(7, 2), m.Established(6, 1)])
def test_proof_of_another_round_counts_for_nothing(late: m.Established) -> None:
    rig = Rig().answering()
    rig.say(A, m.Established(7, 1))
    rig.say(B, late)
    assert rig.outcome() is None
    rig.say(B, m.Established(7, 1))
    assert rig.outcome() == Proven(round=1)


@pytest.mark.parametrize("state", ["gathering", "over"])
def test_answer_to_no_order_is_ignored(state: str) -> None:
    rig = Rig()
    if state == "over":
        rig.answering()
        for connection in (A, B):
            rig.say(connection, m.Established(7, 1))
    rig.take()
    for message in (m.HelloSent(1), m.Established(7, 0), m.Established(7, 1), m.OpenSocket(2)):
        rig.say(A, message)
    rig.show(A, generation=2)
    assert rig.take() == []


def test_silent_gathering_asks_then_blames_udp_of_a_host_that_lives() -> None:
    rig = Rig()
    rig.show(A)
    assert rig.method.deadline == SETTINGS.ask_after
    rig.time_out()
    assert rig.take() == [(B, m.Heartbeat(1))]
    rig.member[B].heard_at = 1.0
    assert rig.method.deadline == SETTINGS.gather_within
    rig.time_out()
    assert rig.outcome() == NoPath(
        m.Verdict.UDP_BLOCKED,
        "no UDP packet from host_b reached the server: UDP to its port must not be blocked",
    )


def test_silent_gathering_of_both_hosts_blames_the_server_s_firewall() -> None:
    rig = Rig()
    rig.time_out()
    for connection in (A, B):
        rig.member[connection].heard_at = 1.0
    rig.time_out()
    outcome = rig.outcome()
    assert isinstance(outcome, NoPath)
    assert outcome.verdict is m.Verdict.UDP_BLOCKED
    assert "from host_a and host_b reached the server: the server's own firewall" in outcome.text


def test_silent_gathering_blames_a_host_that_answers_nothing() -> None:
    rig = Rig()
    rig.time_out()
    rig.member[B].heard_at = 1.0
    rig.time_out()
    assert rig.outcome() == NoPath(
        m.Verdict.PEER_SILENT, "host_a answered the server neither over TCP nor UDP"
    )


@pytest.mark.parametrize(
    ("obeyed", "round_trip", "text"),
    [
        ((), ROUND_TRIP[A], "host_a did not obey the order to send HELLO 1"),
        ((A,), ROUND_TRIP[B], "host_b did not obey the order to send HELLO 2"),
    ],
)
def test_host_that_does_not_obey_ends_the_attempt(
    obeyed: tuple[int, ...], round_trip: float, text: str
) -> None:
    rig = Rig()
    rig.show(A, B)
    for connection in obeyed:
        rig.obey(connection)
    assert rig.method.deadline == SETTINGS.step_within + round_trip
    rig.time_out()
    assert rig.outcome() == NoPath(m.Verdict.PEER_SILENT, text)


def test_second_round_has_fresh_sockets_a_new_token_and_swapped_roles() -> None:
    rig = Rig().answering()
    (first,) = {each.token for _, each in rig.take() if isinstance(each, m.StartRound)}
    rig.time_out()
    assert rig.take() == [(each, m.OpenSocket(2, goes_on=True)) for each in (A, B)]
    rig.show(A, B, generation=2, now=10.0)
    (to_a, start), (to_b, _), order = rig.take()
    assert isinstance(start, m.StartRound)
    assert (to_a, to_b) == (B, A), "A of this round is told first"
    assert (start.round, start.role) == (2, m.Role.A)
    assert start.token != first
    assert order == (B, m.SendHello(4, attempt=7, round=2, step=1))


class TestLateProof:
    """Round 1 goes on beside round 2: proof of either counts, if both hosts have it of the same one."""

    def test_proof_of_both_in_round_1_counts_in_every_state_of_round_2(self) -> None:
        for orders in (None, (), (B,), (B, A), (B, A, B)):
            rig = Rig().answering()
            rig.time_out()
            if orders is not None:
                rig.show(A, B, generation=2)
                for connection in orders:
                    rig.obey(connection)
            for connection in (A, B):
                assert rig.outcome() is None
                rig.say(connection, m.Established(7, 1))
            assert rig.outcome() == Proven(round=1)
            assert {member.socket for member in rig.member.values()} == {SocketState.USED}
            assert [member for member in rig.member.values() if not member.established] == []

    def test_proof_of_one_host_in_each_round_is_no_path_yet(self) -> None:
        rig = Rig().answering()
        rig.time_out()
        rig.show(A, B, generation=2)
        for connection in (B, A, B):
            rig.obey(connection)
        rig.say(A, m.Established(7, 1))
        rig.say(B, m.Established(7, 2))
        assert rig.outcome() is None
        rig.say(B, m.Established(7, 1))
        assert rig.outcome() == Proven(round=1)

    def test_host_with_proof_opens_no_socket_and_is_not_blamed_for_it(self) -> None:
        rig = Rig().answering()
        rig.time_out()
        rig.say(B, m.Established(7, 1), now=1.0)
        rig.show(A, generation=2, now=1.0)
        while rig.outcome() is None:
            assert rig.method.deadline is not None
            ended_at = rig.method.deadline
            rig.time_out()
        assert isinstance(rig.method.outcome, NoPath)
        assert rig.method.outcome.verdict is m.Verdict.NO_PATH
        assert ended_at == 1.0 + SETTINGS.verdict_within + sum(
            member.round_trip for member in rig.member.values()
        )

    def test_round_whose_only_proof_has_had_its_time_goes_on_no_more(self) -> None:
        rig = Rig().answering()
        rig.say(B, m.Established(7, 1))
        assert rig.method.deadline == SETTINGS.verdict_within
        rig.take()
        rig.time_out()
        assert rig.take() == [(each, m.OpenSocket(2)) for each in (A, B)]
        rig.say(A, m.Established(7, 1))
        rig.say(B, m.Established(7, 1))
        assert rig.outcome() is None


def test_two_rounds_without_proof_are_no_path() -> None:
    rig = Rig().answering()
    rig.time_out()
    rig.show(A, B, generation=2)
    for connection in (B, A, B):
        rig.obey(connection)
    rig.time_out()
    outcome = rig.method.outcome
    assert isinstance(outcome, NoPath)
    assert outcome.verdict is m.Verdict.NO_PATH
    assert "host_a (203.0.113.2:40000) and host_b (198.51.100.2:40000)" in outcome.text


def test_signs_of_proof_prolong_the_round_up_to_its_most() -> None:
    rig = Rig()
    rig.show(A, B)
    rig.obey(A, now=1.0)
    rig.obey(B, now=1.0)
    rig.obey(A, now=2.0)
    rig.obey(A, now=4.0)  # HELLO 2 has come after HELLO 3
    assert rig.method.deadline == 4.0 + SETTINGS.swap_within + 2 * (4.0 - 1.0)
    rig.say(B, m.Established(7, 1), now=20.0)
    assert rig.method.deadline == 1.0 + SETTINGS.verdict_most
