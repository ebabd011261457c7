"""ANNOUNCE at the server's machine: in every order with registrations, and those that are not to count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.crypto.proof import is_signed, signed
from nat_traversal.machine import events as e
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, Announced, handle_of
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import altered, an_announce, some_keys
from tests.unit.server.rig import ADDRESS, KEY, NAME, NEXT_KEY, SETTINGS, A, B, Rig, offer_of

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
    expected = Announced(7, ADDRESS[B], (ADDRESS[A],), answer.nonce)
    assert answer == signed(expected, KEY[B])
    assert rig.sent(A, m.SendHello)


def test_announce_before_the_wish_for_an_attempt_of_a_host_that_wanted_none_is_answered_with_that() -> (
    None
):
    rig = Rig()
    rig.register(A, generation=0)
    rig.announce(A, generation=2)
    assert not rig.answers
    rig.retry(A, 2)
    ((_, destination),) = rig.answers
    assert destination == ADDRESS[A]


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
    """Its old connection still stands, and the new one has a key of its own."""
    rig = Rig().connected()
    rig.hear(an_announce(NEXT_KEY, generation=2), A)
    again = 3
    rig.feed(e.ControlOpened(again))
    rig.receive(again, m.Register(1, (2,), NAME[A], NAME[B], NEXT_KEY, 2, offer_of(A, 2)))
    rig.wait(SETTINGS.early_within / 2)
    rig.feed(e.ControlBroken("reset", A))
    rig.open_socket(B, rig.sent(B, m.OpenSocket)[-1].generation)
    assert rig.sent(again, m.StartRound)


@pytest.mark.parametrize("name", ["host_x", "host_a"])
def test_key_of_a_registration_is_nobody_else_s_while_it_stands_and_after_it(name: str) -> None:
    rig = Rig()
    rig.register(A)
    used = m.Register(1, (2,), name, "host_y", KEY[A], 1, offer_of(A))
    for connection in (8, 9):
        rig.feed(e.ControlOpened(connection))
        rig.receive(connection, used)
        assert [refused.code for refused in rig.sent(connection, m.Refused)] == ["key-used"]
        rig.announce(A)
        if connection == 8:
            assert rig.answers.pop()[1] == ADDRESS[A], "the first one has not noticed"
            rig.feed(e.ControlBroken("reset", A))
    assert rig.answers == []


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
