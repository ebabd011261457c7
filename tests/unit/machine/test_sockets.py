"""A client's sockets as numbers that make actions."""

from __future__ import annotations

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair, Sockets, UdpSocket
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_announce, two_ends

PEER = Endpoint("198.51.100.2", 40_000)


def test_numbers_rise_reach_what_the_server_wants_and_wrap() -> None:
    sockets = Sockets()
    assert [sockets.next().generation for _ in range(2)] == [1, 2]
    assert sockets.next(at_least=9).generation == 9
    assert sockets.next(at_least=4).generation == 10
    assert sockets.next(at_least=MAX_COUNTER).generation == MAX_COUNTER
    assert sockets.next().generation == 1


def test_socket_and_pair_make_their_own_actions() -> None:
    socket = UdpSocket(3)
    announce = an_announce(b"key")
    assert (socket.open(), socket.close()) == (do.OpenUdp(3), do.CloseUdp(3))
    assert socket.send(announce, None) == do.SendDatagram(announce, None, 3)
    pair, (epochs, _) = NominatedPair(socket, PEER, b"conn"), two_ends()
    assert pair.send(Kind.PING, b"x") == do.SendFrame(Kind.PING, b"x", 3)
    assert pair.use(epochs) == do.UsePath(3, PEER, epochs)
