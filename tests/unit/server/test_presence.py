"""Who is told at the server that a host is here: those that name each other, with keys that fit."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.offers import Trust
from tests.unit.server.rig import KEY, NAME, NEXT_KEY, A, B, Rig, offer_of

IDENTITY = {A: b"a" * 32, B: b"b" * 32}


def with_identity(connection: int, key: bytes, peer_key: bytes) -> m.Register:
    names = NAME[connection], NAME[A + B - connection]
    offer = replace(offer_of(connection), identity=key, trust=Trust.IDENTITY)
    return m.Register(1, (2,), *names, KEY[connection], 1, offer, peer_key=peer_key)


def test_hosts_with_identities_meet_if_each_has_what_the_other_demands() -> None:
    rig = Rig()
    for connection, other in ((A, B), (B, A)):
        rig.feed(e.ControlOpened(connection))
        rig.receive(connection, with_identity(connection, IDENTITY[connection], IDENTITY[other]))
        rig.announce(connection)
    assert rig.sent(A, m.StartRound)[0].peer.identity == IDENTITY[B]


def test_impostor_learns_nothing_of_the_host_that_demands_another_key() -> None:
    """Neither that it is here, nor where, nor when it goes; and it gets no round."""
    rig = Rig()
    for connection, register in (
        (A, with_identity(A, IDENTITY[A], IDENTITY[B])),
        (B, with_identity(B, b"impostor".ljust(32), IDENTITY[A])),
    ):
        rig.feed(e.ControlOpened(connection))
        rig.receive(connection, register)
        rig.announce(connection)
    rig.feed(e.ControlBroken("reset", A))
    assert [type(message) for message in rig.messages[B]] == [m.Registered, m.PeerStatus]
    assert rig.sent(B, m.PeerStatus) == [m.PeerStatus(m.PeerState.ABSENT)]
    assert [answer.peer for answer, _ in rig.answers] == [(), ()]
    (mismatch,) = rig.sent(A, m.Mismatch)
    assert (mismatch.peer.identity, mismatch.peer.public) == (b"impostor".ljust(32), b"")
    told = note.PairFailed("host_a", "host_b", 0, "keys-differ", "their keys do not fit")
    assert told in rig.notices


def test_host_that_asks_again_is_told_again_until_the_other_s_keys_fit() -> None:
    rig = Rig()
    rig.register(A)
    rig.feed(e.ControlOpened(B))
    rig.receive(B, with_identity(B, IDENTITY[B], IDENTITY[A]))
    assert len(rig.sent(A, m.Mismatch)) == len(rig.sent(B, m.Mismatch)) == 1, "each demands more"
    rig.retry(A, 2)
    assert len(rig.sent(A, m.Mismatch)) == 2
    rig.feed(e.ControlBroken("reset", B))
    rig.retry(A, 3)
    rig.retry(A, 4)
    assert len(rig.sent(A, m.Mismatch)) == 2
    rig.feed(e.ControlOpened(3))
    rig.receive(3, m.Register(1, (2,), "host_b", "host_a", NEXT_KEY, 1, offer_of(B)))
    assert rig.sent(A, m.PeerStatus)[-1].state is m.PeerState.PRESENT


def test_host_that_is_named_by_one_whose_demand_it_does_not_meet_is_told_nothing() -> None:
    rig = Rig()
    rig.feed(e.ControlOpened(B))
    rig.receive(B, m.Register(1, (2,), "host_b", "host_c", KEY[B], 1, offer_of(B)))
    before = len(rig.messages[B])
    rig.feed(e.ControlOpened(A))
    rig.receive(A, with_identity(A, IDENTITY[A], IDENTITY[B]))
    assert len(rig.messages[B]) == before
