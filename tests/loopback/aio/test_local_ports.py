"""The UDP ports that the sockets of paths take."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

from nat_traversal.aio.local_ports import COUNT, LocalPorts
from nat_traversal.aio.packet_io import open_udp, wildcard


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


def test_without_a_first_port_any_will_do() -> None:
    with closing(LocalPorts(0, open_udp).open(4)) as sock:
        assert _port(sock)


def _port(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])
