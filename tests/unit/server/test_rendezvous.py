"""The server's machine, event by event: what arrives in an order that a network rarely shows."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

import pytest

from nat_traversal.crypto.proof import is_signed, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.server.methods.ordered_hello import ROUNDS
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, Announced, handle_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer
from tests.unit.counterpart import altered, an_announce, an_offer, some_keys

_Message = TypeVar("_Message", bound=m.Message)
SETTINGS = ServerSettings()
HERE = e.LocalAddress("192.0.2.2")
A, B = 1, 2
ADDRESS = {A: Endpoint("203.0.113.2", 40_000), B: Endpoint("198.51.100.2", 40_000)}
NAME = {A: "host_a", B: "host_b"}
KEY = dict(zip((A, B), some_keys("host_a", "host_b"), strict=True))


def public_of(connection: int, generation: int) -> bytes:
    """The ephemeral key of a host's socket."""
    return an_offer(f"{connection} {generation}").public


def offer_of(connection: int, generation: int = 1) -> Offer:
    return replace(an_offer(NAME[connection]), public=public_of(connection, generation))


class Rig:
    """A server with a clock of its own; collects what it sends to whom."""

    def __init__(self) -> None:
        self.now = 0.0
        self.machine = StandaloneServer(rng=random.Random(0))
        self.messages: dict[int, list[m.Message]] = {A: [], B: []}
        self.number = {A: 0, B: 0}
        """Of each host's last announce."""
        self.answers: list[tuple[Announced, Endpoint]] = []
        self.closed: list[int] = []
        self.notices: list[note.Notice] = []

    def feed(self, event: e.Event) -> None:
        for action in self.machine.handle(event, self.now):
            match action:
                case do.SendMessage(message, connection):
                    self.messages.setdefault(connection, []).append(message)
                case do.SendDatagram(Announced() as answer, destination) if destination:
                    self.answers.append((answer, destination))
                case do.CloseControl(connection):
                    self.closed.append(connection)
                case do.Tell(notice):
                    self.notices.append(notice)
                case _:
                    raise AssertionError(action)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the timers that fall due in it."""
        end = self.now + seconds
        while (at := self.machine.deadline()) is not None and at <= end:
            self.now = at
            self.feed(e.TimerFired())
        self.now = end

    def receive(self, connection: int, message: m.Message) -> None:
        self.feed(e.ControlReceived(message, connection))

    def register(self, connection: int, generation: int = 1) -> None:
        self.feed(e.ControlOpened(connection))
        host, peer = NAME[connection], NAME[A + B - connection]
        register = m.Register(
            1, (2,), host, peer, KEY[connection], 0, generation, offer_of(connection, generation)
        )
        self.receive(connection, register)

    def announce(self, connection: int, generation: int = 1, number: int | None = None) -> None:
        """From the usual address; with the next number unless told otherwise."""
        self.number[connection] = self.number[connection] + 1 if number is None else number
        self.hear(an_announce(KEY[connection], self.number[connection], generation), connection)

    def hear(self, announce: Announce, connection: int) -> None:
        self.feed(e.DatagramArrived(announce, ADDRESS[connection], local=HERE))

    def open_socket(self, connection: int, generation: int) -> None:
        """Obey the order for a fresh socket."""
        public = public_of(connection, generation)
        self.receive(connection, m.SocketOpened(generation, public))
        self.announce(connection, generation)

    def retry(self, connection: int, generation: int) -> None:
        """Want a new attempt, with that socket."""
        self.receive(connection, m.Retry(generation, public_of(connection, generation)))

    def obey(self, connection: int) -> None:
        """Say that the last HELLO ordered was sent."""
        order = self.sent(connection, m.SendHello)[-1]
        self.receive(connection, m.HelloSent(order.transaction))

    def sent(self, connection: int, kind: type[_Message]) -> list[_Message]:
        return [each for each in self.messages[connection] if isinstance(each, kind)]

    def registered_pair(self) -> Rig:
        for connection in (A, B):
            self.register(connection)
        return self

    def round_begun(self) -> Rig:
        self.registered_pair()
        for connection in (A, B):
            self.announce(connection)
        assert self.sent(A, m.StartRound)
        assert self.sent(B, m.StartRound)
        return self

    def connected(self) -> Rig:
        self.round_begun()
        for connection in (A, B, A):
            self.obey(connection)
        for connection in (A, B):
            self.receive(connection, m.Established(1, 1))
        assert isinstance(self.notices[-1], note.PairConnected)
        return self

    def failed(self) -> Rig:
        """B's announce never came."""
        self.registered_pair()
        self.announce(A)
        self.wait(SETTINGS.ask_after)
        self.receive(B, m.HeartbeatAnswer(self.sent(B, m.Heartbeat)[-1].transaction))
        self.wait(SETTINGS.gather_within - SETTINGS.ask_after)
        assert self.sent(A, m.Failed)[-1].code == "udp-blocked"
        return self


# Events that are nobody's


def test_events_of_a_closed_connection_are_ignored() -> None:
    rig = Rig()
    rig.feed(e.ControlReceived(m.Heartbeat(1), 7))
    rig.feed(e.ControlGarbled("noise", 7))
    rig.feed(e.ControlBroken("reset", 7))
    assert (rig.messages, rig.closed) == ({A: [], B: []}, [])


def test_stop_closes_every_connection() -> None:
    rig = Rig().registered_pair()
    rig.feed(e.StopRequested())
    assert rig.closed == [A, B]


def test_message_that_no_client_sends_is_ignored_in_a_session() -> None:
    rig = Rig().round_begun()
    before = {connection: len(sent) for connection, sent in rig.messages.items()}
    rig.receive(A, m.OpenSocket(9))
    rig.receive(A, m.HeartbeatAnswer(9))
    assert {connection: len(sent) for connection, sent in rig.messages.items()} == before
    assert not rig.closed


# Announces and registrations in every order


def test_announce_before_its_registration_is_answered_with_it() -> None:
    rig = Rig()
    rig.register(A)
    rig.announce(A)
    rig.announce(B, number=7)
    assert len(rig.answers) == 1
    rig.register(B)
    answer, destination = rig.answers[-1]
    assert destination == ADDRESS[B]
    assert answer == signed(Announced(7, ADDRESS[B], (ADDRESS[A],)), KEY[B])
    assert rig.sent(A, m.SendHello)


def test_early_announce_is_kept_for_seconds_only() -> None:
    rig = Rig()
    rig.announce(A)
    rig.wait(SETTINGS.early_within + 0.1)
    rig.register(A)
    assert not rig.answers


def test_early_announces_are_bounded_and_the_newest_are_kept() -> None:
    rig = Rig()
    rig.announce(A)
    rig.announce(B)
    for number in range(SETTINGS.early_announces - 1):
        if number == 1000:
            rig.announce(B)
        stranger = Announce(number.to_bytes(16, "big"), 1, 1)
        rig.feed(e.DatagramArrived(stranger, Endpoint("192.0.2.50", 1)))
    rig.registered_pair()
    assert [destination for _, destination in rig.answers] == [ADDRESS[B]]


def test_repeated_early_announce_is_the_newest() -> None:
    rig = Rig()
    rig.announce(B)
    for number in range(SETTINGS.early_announces):
        rig.announce(B)
        stranger = Announce(number.to_bytes(16, "big"), 1, 1)
        rig.feed(e.DatagramArrived(stranger, Endpoint("192.0.2.50", 1)))
    rig.registered_pair()
    assert [destination for _, destination in rig.answers] == [ADDRESS[B]]


def test_announce_from_port_0_is_ignored() -> None:
    """Nobody can answer there, and a candidate has a port from 1."""
    rig = Rig().registered_pair()
    rig.feed(e.DatagramArrived(an_announce(KEY[A]), Endpoint("203.0.113.2", 0)))
    rig.announce(B)
    assert not rig.sent(B, m.StartRound)
    assert rig.machine.counters["datagrams-ignored"] == 1


def test_answer_names_the_peer_only_within_a_session() -> None:
    rig = Rig()
    rig.register(A)
    rig.announce(A)
    rig.register(B)
    rig.announce(B)
    rig.announce(A)
    assert [answer.peer for answer, _ in rig.answers] == [(), (ADDRESS[A],), (ADDRESS[B],)]


def test_announce_of_an_older_socket_changes_nothing() -> None:
    rig = Rig().connected()
    rig.retry(A, 2)
    answered = len(rig.answers)
    rig.announce(A, generation=1)
    assert len(rig.answers) == answered
    rig.open_socket(B, 2)
    assert len(rig.sent(A, m.StartRound)) == 1


def test_announce_of_a_connected_host_is_not_answered() -> None:
    rig = Rig()
    rig.register(A, generation=0)
    rig.announce(A)
    assert not rig.answers


def test_mapping_that_moved_while_waiting_is_the_candidate() -> None:
    rig = Rig()
    rig.register(A)
    rig.announce(A)
    moved = Endpoint("203.0.113.2", 50_001)
    rig.feed(e.DatagramArrived(an_announce(KEY[A], number=2), moved))
    rig.register(B)
    rig.announce(B)
    (start,) = rig.sent(B, m.StartRound)
    assert start.candidates == (m.Candidate("srflx", moved),)


def test_announce_that_overtook_the_registration_of_a_returning_client_counts() -> None:
    """Its old connection still stands, so the announce is credited there; it is not repeated soon."""
    rig = Rig().connected()
    rig.announce(A, generation=2)
    again = 3
    rig.feed(e.ControlOpened(again))
    rig.receive(again, m.Register(1, (2,), NAME[A], NAME[B], KEY[A], 1, 2, offer_of(A, 2)))
    rig.open_socket(B, rig.sent(B, m.OpenSocket)[-1].generation)
    assert rig.sent(again, m.StartRound)


def test_two_ids_with_one_key_do_not_disturb_each_other() -> None:
    rig = Rig()
    rig.register(A)
    rig.feed(e.ControlOpened(9))
    rig.receive(9, m.Register(1, (2,), "host_x", "host_y", KEY[A], 0, 1, offer_of(A)))
    rig.feed(e.ControlBroken("reset", A))
    assert rig.machine.registered == {"host_x"}
    rig.announce(A)
    assert rig.answers


# Announces that are not to count


def test_announce_with_any_field_changed_is_neither_answered_nor_counted_in() -> None:
    rig = Rig().registered_pair()
    rig.announce(B)
    rig.answers.clear()
    (stranger,) = some_keys("stranger")
    forged = [
        *altered(an_announce(KEY[A])),
        replace(an_announce(stranger), handle=handle_of(KEY[A])),
    ]
    for announce in forged:
        rig.hear(announce, B)
    counters = rig.machine.counters
    of_other_handles = len(handle_of(KEY[A]))
    assert counters["announces-unknown"] == of_other_handles
    assert counters["announces-forged"] == len(forged) - of_other_handles > 20
    assert rig.answers == []
    assert not rig.sent(A, m.StartRound)
    rig.announce(A)
    (start,) = rig.sent(B, m.StartRound)
    assert start.candidates == (m.Candidate("srflx", ADDRESS[A]),)


def test_replayed_announce_draws_nothing_and_moves_nothing() -> None:
    rig = Rig()
    rig.register(A)
    elsewhere = Endpoint("192.0.2.66", 6666)
    for number in (3, 5):
        rig.announce(A, number=number)
    answered = len(rig.answers)
    for number in (5, 4, 3, 1):
        rig.feed(e.DatagramArrived(an_announce(KEY[A], number), elsewhere))
    assert len(rig.answers) == answered
    rig.register(B)
    rig.announce(B)
    assert rig.answers[-1][0].peer == (ADDRESS[A],)


def test_announce_of_a_socket_that_the_host_has_not_spoken_of_draws_nothing() -> None:
    rig = Rig()
    rig.register(A)
    rig.announce(A, generation=3)
    assert rig.answers == []
    rig.announce(A, generation=2)
    assert len(rig.answers) == 1, "one socket ahead, it may have overtaken a message"


def test_forged_early_announce_is_not_answered_when_its_registration_comes() -> None:
    rig = Rig()
    (stranger,) = some_keys("stranger")
    rig.hear(replace(an_announce(stranger), handle=handle_of(KEY[A])), B)
    rig.register(A)
    assert rig.answers == []
    assert rig.machine.counters["announces-forged"] == 1
    rig.announce(A)
    assert [destination for _, destination in rig.answers] == [ADDRESS[A]]


def test_every_answer_is_signed_with_its_asker_s_key() -> None:
    rig = Rig().round_begun()
    assert [is_signed(answer, KEY[A]) for answer, _ in rig.answers] == [True, False]
    assert [is_signed(answer, KEY[B]) for answer, _ in rig.answers] == [False, True]


# The round


def test_steps_are_ordered_one_after_the_other() -> None:
    rig = Rig().round_begun()
    assert [order.step for order in rig.sent(A, m.SendHello)] == [1]
    assert not rig.sent(B, m.SendHello)
    rig.obey(A)
    assert [order.step for order in rig.sent(B, m.SendHello)] == [2]
    rig.obey(B)
    assert [order.step for order in rig.sent(A, m.SendHello)] == [1, 3]
    rig.obey(A)
    assert [order.step for order in rig.sent(B, m.SendHello)] == [2]


def test_both_get_the_same_token_and_opposite_roles() -> None:
    rig = Rig().round_begun()
    (a,), (b,) = rig.sent(A, m.StartRound), rig.sent(B, m.StartRound)
    assert (a.role, b.role) == (m.Role.A, m.Role.B)
    assert a.token == b.token
    assert a.candidates == (m.Candidate("srflx", ADDRESS[B]),)


def test_each_gets_what_the_other_offers() -> None:
    rig = Rig().round_begun()
    assert rig.sent(A, m.StartRound)[0].peer == offer_of(B)
    assert rig.sent(B, m.StartRound)[0].peer == offer_of(A)


@pytest.mark.parametrize("connection", [A, B])
def test_attempt_that_one_declines_fails_for_both(connection: int) -> None:
    rig = Rig().round_begun()
    rig.receive(connection, m.Decline(1))
    text = f"{NAME[connection]} takes no part: the two sides' keys do not fit"
    for each in (A, B):
        assert rig.sent(each, m.Failed) == [m.Failed(1, "keys-differ", text)]
    assert rig.notices[-1] == note.PairFailed("host_a", "host_b", 1, "keys-differ", text)
    rig.receive(A + B - connection, m.Decline(1))
    assert len(rig.sent(A, m.Failed)) == 1


def test_second_round_gives_out_the_keys_of_the_fresh_sockets() -> None:
    rig = Rig().round_begun()
    for connection in (A, B, A):
        rig.obey(connection)
    rig.wait(SETTINGS.verdict_within)
    for connection in (A, B):
        rig.announce(connection, generation=2)
    assert len(rig.sent(A, m.StartRound)) == 1, "both were seen, but their keys are not known"
    for connection in (A, B):
        rig.receive(connection, m.SocketOpened(2, public_of(connection, 2)))
    assert rig.sent(A, m.StartRound)[-1].peer == offer_of(B, 2)
    assert rig.sent(B, m.StartRound)[-1].peer == offer_of(A, 2)


def test_order_is_obeyed_only_by_its_receiver_and_its_number() -> None:
    rig = Rig().round_begun()
    (order,) = rig.sent(A, m.SendHello)
    rig.receive(B, m.HelloSent(order.transaction))
    rig.receive(A, m.HelloSent(order.transaction + 1))
    assert not rig.sent(B, m.SendHello)
    rig.receive(A, m.HelloSent(order.transaction))
    rig.receive(A, m.HelloSent(order.transaction))
    assert len(rig.sent(B, m.SendHello)) == 1


@pytest.mark.parametrize(
    ("obeyed", "text"),
    [
        ([], "host_a did not obey the order to send HELLO 1"),
        ([A], "host_b did not obey the order to send HELLO 2"),
    ],
)
def test_host_that_does_not_obey_is_named(obeyed: list[int], text: str) -> None:
    rig = Rig().round_begun()
    for connection in obeyed:
        rig.obey(connection)
    rig.wait(SETTINGS.step_within + SETTINGS.longest_round_trip)
    for connection in (A, B):
        assert rig.sent(connection, m.Failed) == [m.Failed(1, "peer-silent", text)]
    assert rig.notices[-1] == note.PairFailed("host_a", "host_b", 1, "peer-silent", text)


@pytest.mark.parametrize("proven", [[], [A], [B]])
def test_round_without_proof_from_both_is_swapped_then_failed(proven: list[int]) -> None:
    rig = Rig().round_begun()
    for round_, order in ((1, (A, B, A)), (2, (B, A, B))):
        for connection in order:
            rig.obey(connection)
        for connection in proven:
            rig.receive(connection, m.Established(1, round_))
        rig.wait(SETTINGS.verdict_within)
        if round_ < ROUNDS:
            assert [order.generation for order in rig.sent(A, m.OpenSocket)] == [2]
            for connection in (A, B):
                rig.open_socket(connection, 2)
            assert rig.sent(A, m.StartRound)[-1].role is m.Role.B
            assert rig.sent(B, m.StartRound)[-1].role is m.Role.A
    tokens = {start.token for start in rig.sent(A, m.StartRound)}
    assert len(tokens) == ROUNDS
    assert [failed.code for failed in rig.sent(A, m.Failed)] == ["no-path"]


def test_silent_host_that_answers_nothing_is_not_called_blocked() -> None:
    rig = Rig().registered_pair()
    rig.announce(A)
    rig.wait(SETTINGS.gather_within)
    text = "host_b answered the server neither over TCP nor UDP"
    assert rig.sent(A, m.Failed) == [m.Failed(1, "peer-silent", text)]
    assert not rig.sent(A, m.Heartbeat), "it was seen"


def test_proof_on_its_way_keeps_the_round_but_not_for_ever() -> None:
    rig = Rig().round_begun()
    rig.obey(A)
    rig.wait(1.0)
    rig.obey(B)
    rig.obey(A)
    until = SETTINGS.verdict_most - 1.0 - 0.125
    for _ in range(int(until)):
        assert not rig.sent(A, m.OpenSocket)
        rig.obey(A)  # of HELLO 3 again: HELLO 2 has come after it
        rig.wait(1.0)
    rig.wait(until - int(until))
    assert not rig.sent(A, m.OpenSocket)
    rig.wait(0.125)
    assert rig.sent(A, m.OpenSocket)


def test_proof_of_one_side_gives_the_other_the_time_that_it_took() -> None:
    rig = Rig().round_begun()
    for connection in (A, B, A):
        rig.obey(connection)
    rig.wait(2.0)
    rig.receive(B, m.Established(1, 1))
    rig.wait(SETTINGS.verdict_within + 2 * 2.0 - 0.125)
    assert not rig.sent(A, m.OpenSocket)
    rig.wait(0.125)
    assert rig.sent(A, m.OpenSocket)


def test_report_about_another_round_is_late() -> None:
    rig = Rig().round_begun()
    for connection in (A, B, A):
        rig.obey(connection)
    rig.receive(A, m.Established(1, 1))
    for late in (m.Established(1, 2), m.Established(2, 1)):
        rig.receive(B, late)
    rig.wait(SETTINGS.verdict_within)
    assert rig.sent(A, m.OpenSocket)
    rig.receive(A, m.Established(1, 1))
    rig.receive(B, m.Established(1, 1))
    assert not any(isinstance(notice, note.PairConnected) for notice in rig.notices)


def test_connection_of_a_pair_is_told_once() -> None:
    rig = Rig().connected()
    for connection in (A, B):
        rig.receive(connection, m.Established(1, 1))
    told = [notice for notice in rig.notices if isinstance(notice, note.PairConnected)]
    assert told == [note.PairConnected("host_a", "host_b", 1, 1)]


def test_operator_is_told_who_comes_and_goes() -> None:
    rig = Rig()
    rig.register(A)
    rig.feed(e.ControlBroken("reset", A))
    rig.feed(e.ControlOpened(7))
    rig.feed(e.ControlGarbled("noise", 7))
    assert rig.notices == [
        note.HostRegistered("host_a", "host_b"),
        note.HostLeft("host_a"),
        note.HostRefused(None, "bad-message", "noise"),
    ]


# Answers that others caused


def test_what_a_restless_peer_causes_is_not_charged_to_the_host() -> None:
    """Whenever B leaves A retries, and when B is back A opens the socket that it is ordered to."""
    rig = Rig().round_begun()
    now = B
    for number in range(3, 3 + 2 * SETTINGS.burst):
        rig.feed(e.ControlBroken("reset", now))
        rig.retry(A, number - 1)
        now = number
        rig.feed(e.ControlOpened(now))
        (key,) = some_keys(str(number))
        rig.receive(now, m.Register(1, (2,), NAME[B], NAME[A], key, 0, 1, offer_of(B)))
    assert A not in rig.closed
    for _ in range(SETTINGS.burst - 1):
        rig.receive(A, m.Heartbeat(1))
    assert A not in rig.closed, "all but its registration was free"
    rig.receive(A, m.Heartbeat(1))
    assert A in rig.closed


# Retries


def test_retry_begins_a_new_attempt_with_fresh_sockets() -> None:
    rig = Rig().connected()
    rig.retry(A, 2)
    assert not rig.sent(A, m.OpenSocket)
    assert rig.sent(B, m.OpenSocket) == [m.OpenSocket(2)]
    rig.announce(A, generation=2)
    rig.open_socket(B, 2)
    assert rig.sent(A, m.StartRound)[-1].attempt == 2
    assert rig.sent(B, m.StartRound)[-1].peer == offer_of(A, 2)


def test_announce_that_overtook_its_retry_counts() -> None:
    rig = Rig().connected()
    rig.announce(A, generation=2)
    rig.retry(A, 2)
    rig.open_socket(B, 2)
    assert rig.sent(A, m.StartRound)[-1].attempt == 2


def test_announces_that_both_overtook_their_retries_begin_the_round() -> None:
    rig = Rig().connected()
    for connection in (A, B):
        rig.announce(connection, generation=2)
    assert len(rig.sent(A, m.StartRound)) == 1
    rig.retry(A, 2)
    assert len(rig.sent(A, m.StartRound)) == 1, "the key of B's socket is on its way"
    rig.retry(B, 2)
    assert rig.sent(A, m.StartRound)[-1].attempt == rig.sent(B, m.StartRound)[-1].attempt == 2
    assert rig.sent(A, m.StartRound)[-1].peer == offer_of(B, 2)


def test_retry_that_was_overtaken_by_its_announce_and_by_the_order_joins_the_attempt() -> None:
    """Both asked at once; A's came first, and B's announce overtook B's message, which bears B's key."""
    rig = Rig().connected()
    rig.retry(A, 2)
    rig.announce(A, generation=2)
    rig.announce(B, generation=2)
    assert len(rig.sent(B, m.StartRound)) == 1
    rig.retry(B, 2)
    assert rig.sent(B, m.StartRound)[-1].attempt == 2
    assert rig.sent(B, m.OpenSocket) == [m.OpenSocket(2)]
    rig.obey(A)
    assert rig.sent(B, m.SendHello)[-1].attempt == 2


def test_crossing_retries_are_one_attempt() -> None:
    rig = Rig().connected()
    for connection in (A, B):
        rig.retry(connection, 2)
    for connection in (A, B):
        rig.announce(connection, generation=2)
    assert [start.attempt for start in rig.sent(A, m.StartRound)] == [1, 2]


@pytest.mark.parametrize(("asks", "other"), [(A, B), (B, A)])
def test_after_a_failed_gathering_both_sockets_are_closed(asks: int, other: int) -> None:
    """The one that was seen as well as the one that was not."""
    rig = Rig().failed()
    rig.retry(asks, 2)
    assert [order.generation for order in rig.sent(other, m.OpenSocket)] == [2]
    assert not rig.sent(A, m.StartRound)
    rig.announce(asks, generation=2)
    rig.open_socket(other, 2)
    assert rig.sent(A, m.StartRound)[-1].attempt == 2


def test_socket_numbers_wrap() -> None:
    rig = Rig()
    rig.register(A, generation=65_535)
    rig.announce(A, generation=65_535)
    rig.register(B)
    rig.announce(B)
    for connection in (A, B, A):
        rig.obey(connection)
    rig.wait(SETTINGS.verdict_within)
    assert rig.sent(A, m.OpenSocket) == [m.OpenSocket(1)]
    rig.open_socket(A, 1)
    rig.open_socket(B, 2)
    assert rig.sent(A, m.StartRound)[-1].round == 2


def test_host_that_is_alone_may_change_its_socket_and_its_key() -> None:
    for say in (m.Retry, m.SocketOpened):
        rig = Rig()
        rig.register(A)
        rig.announce(A)
        rig.receive(A, say(2, public_of(A, 2)))
        rig.announce(A, generation=2)
        rig.register(B)
        rig.announce(B)
        (start,) = rig.sent(B, m.StartRound)
        assert start.peer == offer_of(A, 2)


# A peer comes and goes


def test_peer_is_told_of_both_comings_and_of_the_going() -> None:
    rig = Rig().registered_pair()
    rig.feed(e.ControlBroken("reset", B))
    states = [status.state for status in rig.sent(A, m.PeerStatus)]
    assert states == [m.PeerState.ABSENT, m.PeerState.PRESENT, m.PeerState.LEFT]
    assert note.HostLeft("host_b") in rig.notices


def test_return_of_a_connected_peer_disturbs_nothing() -> None:
    rig = Rig().connected()
    rig.feed(e.ControlBroken("reset", B))
    rig.feed(e.ControlOpened(3))
    rig.receive(3, m.Register(1, (2,), "host_b", "host_a", KEY[B], 1, 0, offer_of(B)))
    rig.wait(SETTINGS.gather_within)
    assert [type(message) for message in rig.messages[3]] == [m.Registered, m.PeerStatus]
    assert not rig.sent(A, m.OpenSocket)
    assert not rig.sent(A, m.Failed)


def test_peer_that_lost_its_path_while_alone_gets_an_attempt() -> None:
    """A lost the path while B was away; B returns and believes in it."""
    rig = Rig().connected()
    rig.feed(e.ControlBroken("reset", B))
    rig.retry(A, 2)
    rig.announce(A, generation=2)
    rig.feed(e.ControlOpened(3))
    rig.receive(3, m.Register(1, (2,), "host_b", "host_a", KEY[B], 1, 0, offer_of(B)))
    assert rig.sent(3, m.OpenSocket) == [m.OpenSocket(1)]
    assert not rig.sent(A, m.OpenSocket)


def test_path_lost_by_both_after_a_reunion_is_opened_again() -> None:
    rig = Rig()
    for connection in (A, B):
        rig.register(connection, generation=0)
    rig.retry(A, 5)
    rig.announce(A, generation=5)
    assert rig.sent(B, m.OpenSocket) == [m.OpenSocket(1)]
    rig.open_socket(B, 9)
    assert rig.sent(A, m.StartRound)
    assert rig.sent(B, m.StartRound)


def test_attempt_ends_quietly_when_a_member_leaves() -> None:
    rig = Rig().round_begun()
    rig.feed(e.ControlBroken("reset", B))
    rig.wait(60.0 - 15.0)
    assert not rig.sent(A, m.Failed)
    rig.retry(A, 2)
    rig.announce(A, generation=2)
    rig.feed(e.ControlOpened(3))
    (key,) = some_keys("another process")
    rig.receive(3, m.Register(1, (2,), "host_b", "host_a", key, 0, 1, offer_of(B)))
    rig.hear(an_announce(key), B)
    assert rig.sent(3, m.StartRound)[-1].attempt == 2


def test_each_host_is_told_what_the_other_serves_and_how_its_service_is() -> None:
    rig = Rig()
    for connection, serves in ((A, m.Serves.LISTEN), (B, m.Serves.CONNECT)):
        rig.feed(e.ControlOpened(connection))
        names = NAME[connection], NAME[A + B - connection]
        offer = offer_of(connection)
        register = m.Register(1, (2,), *names, KEY[connection], 0, 1, offer, serves)
        rig.receive(connection, register)
    assert rig.sent(A, m.PeerStatus)[-1] == m.PeerStatus(m.PeerState.PRESENT, m.Serves.CONNECT)
    assert rig.sent(B, m.PeerStatus)[-1] == m.PeerStatus(m.PeerState.PRESENT, m.Serves.LISTEN)
    rig.receive(B, m.ServiceState(False))
    assert rig.sent(A, m.ServiceState) == [m.ServiceState(False)]
    assert rig.sent(B, m.ServiceState) == []


def test_a_loopback_address_is_handed_to_nobody_elsewhere_and_the_attempt_ends_at_once() -> None:
    rig = Rig()
    rig.register(A)
    rig.register(B)
    here = an_announce(KEY[A])
    rig.feed(e.DatagramArrived(here, Endpoint("127.0.0.1", 40_000), local=HERE))
    rig.announce(B)
    assert [peers for answer, _ in rig.answers for peers in answer.peer] == []
    for connection in (A, B):
        (failed,) = rig.sent(connection, m.Failed)
        assert failed.code == m.Verdict.NO_ADDRESS
        assert failed.text.startswith("host_a reached the server over loopback, so host_b cannot")
        assert rig.sent(connection, m.StartRound) == []


def test_an_announce_from_where_no_host_can_be_is_not_answered() -> None:
    rig = Rig()
    rig.register(A)
    for address in ("0.0.0.0", "224.0.0.1", "255.255.255.255"):
        nowhere = an_announce(KEY[A])
        rig.feed(e.DatagramArrived(nowhere, Endpoint(address, 1), local=HERE))
    assert rig.answers == []
    assert rig.machine.counters["datagrams-ignored"] == 3


def test_two_hosts_of_which_one_wants_a_third_are_both_told() -> None:
    rig = Rig()
    for connection, peer in ((B, "host_c"), (A, "host_b")):
        rig.feed(e.ControlOpened(connection))
        names = NAME[connection], peer
        offer = offer_of(connection)
        rig.receive(connection, m.Register(1, (2,), *names, KEY[connection], 0, 1, offer))
    assert rig.sent(A, m.PeerStatus) == [m.PeerStatus(m.PeerState.ABSENT, elsewhere=True)]
    assert rig.sent(B, m.PeerStatus) == [
        m.PeerStatus(m.PeerState.ABSENT),
        m.PeerStatus(m.PeerState.ABSENT, asked_by="host_a"),
    ]
