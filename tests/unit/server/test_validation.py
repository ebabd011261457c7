"""Whether a host receives where it seems to be: the server asks, and tells the peer."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.crypto.proof import signed
from nat_traversal.machine import events as e
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Echo, encode, handle_of
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import altered, an_announce
from tests.unit.server.rig import ADDRESS, HERE, KEY, A, B, Rig

NO_QUESTION = bytes(8)
SPOOFED = Endpoint("203.0.113.99", 53)


def echo(rig: Rig, connection: int, *, source: Endpoint | None = None) -> Echo:
    """What the host answers to the newest answer; from its own address unless told otherwise."""
    answer, _ = next(each for each in reversed(rig.answers) if each[1] == ADDRESS[connection])
    made = signed(Echo(handle_of(KEY[connection]), answer.number, answer.nonce), KEY[connection])
    rig.feed(e.DatagramArrived(made, source or ADDRESS[connection], local=HERE))
    return made


def told(rig: Rig, connection: int) -> tuple[bool, list[str]]:
    """What a host has been told of its peer: in `start`, and after it."""
    start = rig.sent(connection, m.StartRound)[-1]
    later = [each.address for each in rig.sent(connection, m.Validated)]
    return start.candidates[0].validated, later


def test_an_echo_before_the_round_is_told_with_its_start() -> None:
    rig = Rig().registered_pair()
    rig.announce(A)
    echo(rig, A)
    rig.announce(B)
    assert told(rig, B) == (True, [])
    assert told(rig, A) == (False, [])


def test_an_echo_in_the_round_is_told_at_once_and_once() -> None:
    rig = Rig().round_begun()
    assert told(rig, A) == (False, [])
    echo(rig, B)
    echo(rig, B)
    assert told(rig, A) == (False, [ADDRESS[B].address])
    assert told(rig, B) == (False, [])


def test_a_validated_host_is_asked_no_more_while_it_keeps_its_address() -> None:
    rig = Rig().registered_pair()
    rig.announce(A)
    assert rig.answers[-1][0].nonce != NO_QUESTION
    echo(rig, A)
    rig.announce(A)
    assert rig.answers[-1][0].nonce == NO_QUESTION
    rig.number[A] += 1
    moved = an_announce(KEY[A], rig.number[A])
    rig.feed(e.DatagramArrived(moved, SPOOFED, local=HERE))
    assert rig.answers[-1][0].nonce != NO_QUESTION


def test_a_fresh_socket_is_asked_again() -> None:
    rig = Rig().failed()
    echo(rig, A)
    rig.retry(A, 2)
    rig.announce(A, 2)
    assert rig.answers[-1][0].nonce != NO_QUESTION


def test_nobody_validates_an_address_to_which_the_nonce_did_not_go() -> None:
    """The peer announces in a victim's name, and echoes the nonce that went to itself."""
    rig = Rig().registered_pair()
    rig.announce(B)
    rig.announce(A)
    rig.number[A] += 1
    rig.feed(e.DatagramArrived(an_announce(KEY[A], rig.number[A]), SPOOFED, local=HERE))
    echo(rig, A, source=SPOOFED)
    echo(rig, A)
    assert told(rig, B) == (False, [])


def test_an_echo_that_is_changed_anywhere_validates_nothing() -> None:
    rig = Rig().round_begun()
    (answer,) = [each for each, to in rig.answers if to == ADDRESS[B]]
    genuine = signed(Echo(handle_of(KEY[B]), answer.number, answer.nonce), KEY[B])
    for forged in altered(genuine):
        rig.feed(e.DatagramArrived(forged, ADDRESS[B], local=HERE))
    another = replace(genuine, nonce=bytes(range(8)))
    rig.feed(e.DatagramArrived(signed(another, KEY[B]), ADDRESS[B], local=HERE))
    assert told(rig, A) == (False, [])
    counted = rig.machine.counters.snapshot()
    assert (
        counted["announces-forged"] + counted["announces-unknown"] == len([*altered(genuine)]) + 1
    )


def test_a_replayed_echo_of_a_socket_before_validates_nothing() -> None:
    rig = Rig().round_begun()
    old = echo(rig, B)
    rig.obey(A)
    rig.retry(B, 2)
    rig.announce(B, 2)
    rig.retry(A, 2)
    before = told(rig, A)
    rig.feed(e.DatagramArrived(old, SPOOFED, local=HERE))
    assert told(rig, A) == before


def test_an_answer_is_no_longer_than_its_announce_and_an_echo_gets_none() -> None:
    rig = Rig().round_begun()
    for answer, _ in rig.answers:
        assert len(encode(answer)) <= len(encode(an_announce(KEY[A])))
    before = len(rig.answers)
    echo(rig, A)
    assert len(rig.answers) == before
