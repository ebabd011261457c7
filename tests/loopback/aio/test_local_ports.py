"""The UDP ports that the sockets of paths take."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

from nat_traversal.aio.local_ports import COUNT, TRIES, LocalPorts
from nat_traversal.aio.packet_io import open_udp, wildcard
from nat_traversal.wire.endpoint import Endpoint


def test_ports_are_taken_in_turn_and_any_once_none_is_free() -> None:
    with closing(open_udp(wildcard(4))) as sock:
        first = _port(sock) - COUNT
    ports = LocalPorts(first, open_udp)
    with ExitStack() as stack:
        taken = [_port(stack.enter_context(closing(ports.open(4)))) for _ in range(COUNT)]
        beside = _port(stack.enter_context(closing(ports.open(4))))
        ours = [each for each in taken if each in range(first, first + COUNT)]
    assert ours == sorted(ours)
    assert ours
    assert beside not in taken
    with closing(ports.open(4)) as again, closing(ports.open(4)) as other:
        assert _port(again) != _port(other)


def test_a_port_that_was_given_back_is_the_last_to_be_taken_again() -> None:
    """A NAT may still remember it: so a fresh socket looks fresh."""
    asked: list[int] = []

    def open_there(at: Endpoint, *_: object) -> socket.socket:
        asked.append(at.port)
        return open_udp(wildcard(4))

    ports = LocalPorts(40_000, open_there)
    for _ in range(COUNT + 1):
        ports.open(4).close()
    assert asked == [*range(40_000, 40_000 + COUNT), 40_000]


def test_without_a_first_port_any_will_do() -> None:
    with closing(LocalPorts(0, open_udp).open(4)) as sock:
        assert _port(sock)


def test_a_port_that_the_kernel_gives_again_is_passed_over_while_there_are_others() -> None:
    with closing(open_udp(wildcard(4))) as one, closing(open_udp(wildcard(4))) as two:
        given = [_port(one), _port(one), _port(two), *[_port(two)] * TRIES]
    opened: list[socket.socket] = []

    def open_next(at: Endpoint) -> socket.socket:
        with closing(open_udp(at)) as any_port:
            sock = socket.socket(any_port.family, any_port.type)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((at.address, given.pop(0)))
        opened.append(sock)
        return sock

    ports = LocalPorts(0, open_next)
    first, second = ports.open(4), ports.open(4)
    assert _port(first) != _port(second)
    for sock in (first, second):
        sock.close()
    assert _port(ports.open(4)) == _port(opened[-1]), "where no other is to be had, it has to do"
    assert [each.fileno() == -1 for each in opened] == [True] * (len(opened) - 1) + [False]
    opened[-1].close()


def _port(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])
