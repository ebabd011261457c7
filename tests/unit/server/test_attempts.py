"""Attempts at the server's machine: retries that cross, and a peer that comes and goes."""

from __future__ import annotations

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_announce, some_keys
from tests.unit.server.rig import (
    HERE,
    KEY,
    NAME,
    NEXT_KEY,
    SETTINGS,
    A,
    B,
    Rig,
    offer_of,
    public_of,
)

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
    rig.wait(SETTINGS.swap_within)
    assert rig.sent(A, m.OpenSocket) == [m.OpenSocket(1, goes_on=True)]
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
    rig.receive(3, m.Register(1, (2,), "host_b", "host_a", NEXT_KEY, 0, offer_of(B)))
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
    rig.receive(3, m.Register(1, (2,), "host_b", "host_a", NEXT_KEY, 0, offer_of(B)))
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
    rig.receive(3, m.Register(1, (2,), "host_b", "host_a", key, 1, offer_of(B)))
    rig.hear(an_announce(key), B)
    assert rig.sent(3, m.StartRound)[-1].attempt == 2


def test_each_host_is_told_what_the_other_serves_and_how_its_service_is() -> None:
    rig = Rig()
    for connection, serves in ((A, m.Serves.LISTEN), (B, m.Serves.CONNECT)):
        rig.feed(e.ControlOpened(connection))
        names = NAME[connection], NAME[A + B - connection]
        offer = offer_of(connection)
        register = m.Register(1, (2,), *names, KEY[connection], 1, offer, serves)
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


def test_of_two_hosts_that_do_not_name_each_other_the_one_that_is_named_is_told() -> None:
    rig = Rig()
    for connection, peer in ((B, "host_c"), (A, "host_b")):
        rig.feed(e.ControlOpened(connection))
        names = NAME[connection], peer
        offer = offer_of(connection)
        rig.receive(connection, m.Register(1, (2,), *names, KEY[connection], 1, offer))
    assert rig.sent(A, m.PeerStatus) == [m.PeerStatus(m.PeerState.ABSENT)], "B did not name A"
    assert rig.sent(B, m.PeerStatus) == [
        m.PeerStatus(m.PeerState.ABSENT),
        m.PeerStatus(m.PeerState.ABSENT, asked_by="host_a"),
    ]
