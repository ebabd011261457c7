"""The server's machine, event by event: a round, its orders and its reports."""

from __future__ import annotations

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.server.methods.ordered_hello import ROUNDS
from nat_traversal.wire import messages as m
from tests.unit.counterpart import some_keys
from tests.unit.server.rig import ADDRESS, NAME, SETTINGS, A, B, Rig, offer_of, public_of

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
    rig.wait(0.25)
    rig.receive(B, m.Established(1, 1))
    rig.wait(SETTINGS.verdict_within + 2 * 0.25 - 0.125)
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
        rig.receive(now, m.Register(1, (2,), NAME[B], NAME[A], key, 1, offer_of(B)))
    assert A not in rig.closed
    for _ in range(SETTINGS.burst - 1):
        rig.receive(A, m.Heartbeat(1))
    assert A not in rig.closed, "all but its registration was free"
    rig.receive(A, m.Heartbeat(1))
    assert A in rig.closed


def test_host_that_could_not_be_told_something_is_let_go_and_others_are_not() -> None:
    rig = Rig().registered_pair()
    for action in (do.SendMessage(m.Heartbeat(1), A), do.CloseControl(B)):
        for _ in range(2):
            rig.feed(e.ActionFailed(action, "a line too long"))
    assert rig.closed == [A]
    assert rig.machine.registered == {NAME[B]}
