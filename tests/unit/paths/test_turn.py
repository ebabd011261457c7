"""The method `turn`, word by word: who speaks where, and what proves a path."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.crypto.proof import nonce, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.paths.methods.method import HandshakeKeys, Output, Proven
from nat_traversal.paths.methods.turn import Turn, TurnState
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import tag_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.relayed import Link
from tests.unit.counterpart import an_offer, some_keys

MINE, THEIRS, SECRET = some_keys("mine", "theirs", "secret")
TOKEN = bytes(range(16))
RELAYED = Endpoint("192.0.2.9", 50_000)
SEEN = Endpoint("198.51.100.2", 40_000)
PEER = Endpoint("198.51.100.2", 41_234)
CONNECTION = b"peer"


def a_method(*, is_own: bool) -> Turn:
    candidates = (m.Candidate("srflx", SEEN),) if is_own else ()
    order = m.OpenTurn(7, TOKEN, an_offer("peer"), candidates)
    keys = HandshakeKeys(MINE, THEIRS, SECRET, b"mine")
    return Turn(UdpSocket(3), order, keys=keys, settings=ClientSettings(), is_own=is_own)


def link(echo: bytes = bytes(8), *, key: bytes = THEIRS, wanted: bool = True) -> Link:
    said = Link(tag_of(TOKEN), wanted, b"12345678", echo, CONNECTION)
    return signed(said, key)


def echo_to(source: Endpoint) -> bytes:
    return nonce(SECRET, TOKEN, source)


def sent(outputs: list[Output]) -> list[tuple[Link, Endpoint | None]]:
    return [
        (each.datagram, each.destination)
        for each in outputs
        if isinstance(each, do.SendDatagram) and isinstance(each.datagram, Link)
    ]


def proofs(outputs: list[Output]) -> list[Proven]:
    return [each for each in outputs if isinstance(each, Proven)]


def test_the_host_with_the_turn_server_says_nothing_before_the_peer_has() -> None:
    method = a_method(is_own=True)
    assert method.start(0.0) == [do.OpenTurn(3, (SEEN,))]
    (told,) = method.allocated(RELAYED)
    assert told == do.SendMessage(m.TurnAddress(7, m.Candidate("relay", RELAYED)))
    assert method.deadline is None


def test_it_answers_where_an_authentic_link_came_from_and_has_proof_by_its_own_nonce() -> None:
    method = a_method(is_own=True)
    method.allocated(RELAYED)
    ((answer, to),) = sent(method.arrived(link(), PEER, 1.0))
    assert (to, answer.echo, answer.nonce) == (PEER, b"12345678", echo_to(PEER))
    outputs = method.arrived(link(echo_to(PEER)), PEER, 1.1)
    (proof,) = proofs(outputs)
    assert (proof.pair.remote, proof.pair.connection) == (PEER, CONNECTION)
    assert method.state is TurnState.STANDING
    assert method.deadline is None


def test_the_other_host_speaks_to_the_address_and_hears_that_alone() -> None:
    method = a_method(is_own=False)
    assert method.start(0.0) == [do.OpenUdp(3)]
    ((_, to),) = sent(method.told(RELAYED, 0.0))
    assert to == RELAYED
    assert method.arrived(link(echo_to(PEER)), PEER, 0.1) == []
    assert proofs(method.arrived(link(echo_to(RELAYED)), RELAYED, 0.2))


@pytest.mark.parametrize("is_own", [True, False])
def test_what_the_peer_s_key_has_not_made_changes_nothing(is_own: bool) -> None:
    method = a_method(is_own=is_own)
    method.allocated(RELAYED)
    method.told(RELAYED, 0.0)
    source = PEER if is_own else RELAYED
    forged = link(echo_to(source), key=MINE)
    other = replace(link(echo_to(source)), tag=bytes(8))
    for datagram in (forged, other):
        assert method.arrived(datagram, source, 0.1) == []
    assert method.state is TurnState.LINKING


def test_a_copy_from_elsewhere_is_answered_there_once_and_takes_nothing_over() -> None:
    method = a_method(is_own=True)
    method.allocated(RELAYED)
    method.arrived(link(), PEER, 1.0)
    elsewhere = replace(PEER, port=9)
    ((_, to),) = sent(method.arrived(link(), elsewhere, 1.1))
    assert to == elsewhere
    assert proofs(method.arrived(link(echo_to(PEER)), elsewhere, 1.2)) == []
    (proof,) = proofs(method.arrived(link(echo_to(PEER)), PEER, 1.3))
    assert proof.pair.remote == PEER
    assert method.arrived(link(echo_to(elsewhere)), elsewhere, 1.4) == []


def test_an_address_that_never_answers_gets_five_links() -> None:
    method = a_method(is_own=False)
    said = sent(method.told(RELAYED, 0.0))
    for _ in range(10):
        assert method.deadline is not None
        said += sent(method.due(method.deadline))
    assert len(said) == 5


def test_an_address_counts_once() -> None:
    method = a_method(is_own=False)
    method.told(RELAYED, 0.0)
    assert method.told(PEER, 0.1) == []
    own = a_method(is_own=True)
    assert own.told(PEER, 0.0) == []
    own.allocated(RELAYED)
    assert own.allocated(PEER) == []


def test_an_answer_that_is_wanted_is_given_while_the_path_stands() -> None:
    method = a_method(is_own=True)
    method.allocated(RELAYED)
    method.arrived(link(), PEER, 1.0)
    method.arrived(link(echo_to(PEER)), PEER, 1.1)
    ((answer, _),) = sent(method.arrived(link(echo_to(PEER)), PEER, 2.0))
    assert not answer.answer_wanted
    assert method.arrived(link(echo_to(PEER), wanted=False), PEER, 2.1) == []
