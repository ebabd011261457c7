"""Does a NAT translate ICMP errors, however late, and does what it refuses of TCP tell so? (RFC 5508)

Errors from outside are made here, since a real one comes when it likes: as a router on the way would
send them, about a datagram as it looks outside. All others are the kernels' own.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from contextlib import ExitStack
from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint
from natlab.probe.sockets import (
    SAME_ENDPOINT,
    TIMEOUT,
    Exchange,
    Host,
    Outside,
    endpoint,
    internet_checksum,
)
from natlab.sandbox.netns import in_namespace
from natlab.terms import HELD_FOR

_UNREACHABLE, _TIME_EXCEEDED = 3, 11
PORT_UNREACHABLE = (_UNREACHABLE, 3)
_KINDS = {
    "network unreachable": (_UNREACHABLE, 0),
    "host unreachable": (_UNREACHABLE, 1),
    "port unreachable": PORT_UNREACHABLE,
    "fragmentation needed": (_UNREACHABLE, 4),
    "TTL exceeded": (_TIME_EXCEEDED, 0),
}
"""Type and code (RFC 792)."""
LOST = f"lost: {', '.join(_KINDS)}"
"""The words where none of them comes in."""
HELD = f"port unreachable after {HELD_FOR} s, unless the host connects"
_QUOTED_OCTETS = 8
_HEADER = 20


@dataclass(frozen=True, slots=True)
class _Error:
    """An ICMP error as it arrived, with valid checksums."""

    sender: str
    kind: tuple[int, int]
    source: Endpoint
    target: Endpoint
    """Of the datagram that it quotes."""


class Errors:
    """Raw ICMP sockets on both sides of the NAT of `exchange`. To be used within `one_cpu`."""

    def __init__(self, exchange: Exchange, outside: Outside, stack: ExitStack) -> None:
        self._exchange = exchange
        self._outside = outside
        self._stack = stack
        self._inside = self._raw(exchange.host.pid)
        self._outer = self._raw(outside.pid)
        self._late = exchange.inside()
        self._mapped = self._send_out()

    def _raw(self, pid: int) -> socket.socket:
        with in_namespace(pid):
            opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._stack.enter_context(opened)
        opened.setblocking(False)
        return opened

    def _send_out(self) -> Endpoint:
        remote = self._exchange.remotes[SAME_ENDPOINT]
        return self._exchange.send_out("late errors", self._late, remote)

    def late(self) -> str:
        """Every error about the datagram that was sent when this object was made: does it come?"""
        self._exchange.open_fence()
        remote = endpoint(self._exchange.remotes[SAME_ENDPOINT])
        lost = []
        for words, kind in _KINDS.items():
            self._heard(self._inside)
            self._outer.sendto(error_about(kind, self._mapped, remote), (self._mapped.address, 0))
            self._exchange.settle()
            wanted = (kind, endpoint(self._late), remote)
            heard = [(each.kind, each.source, each.target) for each in self._heard(self._inside)]
            if wanted not in heard:
                lost.append(words)
        return f"lost: {', '.join(lost)}" if lost else "come in"

    def on_the_way(self, routers: tuple[str, str]) -> str:
        """A datagram that dies at the NAT and one that dies at the router behind it."""
        inside, remote = self._exchange.inside(), endpoint(self._exchange.remotes[SAME_ENDPOINT])
        silent = []
        for ttl, router in enumerate(routers, 1):
            self._heard(self._inside)
            inside.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            inside.sendto(b"x", remote.sockaddr)
            self._exchange.settle()
            wanted = _Error(router, _KINDS["TTL exceeded"], endpoint(inside), remote)
            if wanted not in self._heard(self._inside):
                silent.append(router)
        return f"none from {' and '.join(silent)}" if silent else "come in"

    def leaving(self, sender: socket.socket) -> str:
        """The inside host's own, about a datagram of `sender` to a port that is closed by now."""
        inside = self._exchange.inside()
        mapped = self._exchange.send_out("errors", inside, self._exchange.remotes[SAME_ENDPOINT])
        inside.close()
        self._heard(self._outer)
        sender.sendto(b"x", mapped.sockaddr)
        self._exchange.settle()
        wanted = _Error(mapped.address, PORT_UNREACHABLE, endpoint(sender), mapped)
        return "leave" if wanted in self._heard(self._outer) else "do not leave"

    def hairpinned(self, other: Host) -> str:
        """Another inside host's, about a datagram of the first to its external endpoint."""
        exchange = self._exchange
        both = [exchange.inside(), exchange.inside(other)]
        remote = exchange.remotes[SAME_ENDPOINT]
        mapped = [exchange.send_out("errors", each, remote) for each in both]
        both[1].sendto(b"open", mapped[0].sockaddr)
        both[1].close()
        exchange.settle()
        self._heard(self._inside)
        both[0].sendto(b"x", mapped[1].sockaddr)
        exchange.settle()
        heard = [(each.kind, each.source, each.target) for each in self._heard(self._inside)]
        wanted = (PORT_UNREACHABLE, endpoint(both[0]), mapped[1])
        return "come back" if wanted in heard else "do not come back"

    def syn(self, address: str) -> str:
        """The fate of a TCP connection from outside to a port of the NAT itself."""
        with in_namespace(self._outside.pid):
            client = self._stack.enter_context(socket.socket())
        client.setblocking(False)
        self._heard(self._outer)
        client.connect_ex((address, self._mapped.port))
        self._exchange.settle()
        if not select.select([], [client], [], 0)[1]:
            return "silence"
        error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        told = [each.kind for each in self._heard(self._outer) if each.source == endpoint(client)]
        if told:
            return "port unreachable" if told == [PORT_UNREACHABLE] else f"ICMP {told}"
        return (
            "reset" if error == errno.ECONNREFUSED else f"error {errno.errorcode.get(error, error)}"
        )

    def held_syn(self, address: str) -> str:
        """Two kernels outside connect: one to a port that nobody uses, one to where the inside then connects."""
        exchange, syn = self._exchange, _Syn(self._outside.pid, self._outside.first, self._stack)
        crossed = _Syn(self._outside.pid, self._outside.first, self._stack)
        own = _Syn(exchange.host.pid, exchange.host.address, self._stack)
        self._heard(self._outer)
        before = time.monotonic()
        syn.connect(Endpoint(address, self._mapped.port))
        # This port of TCP is the internal one, which no other has.
        crossed.connect(Endpoint(address, own.endpoint.port))
        exchange.settle()
        if syn.ended(0) or crossed.ended(0):
            return self.syn(address)
        own.connect(crossed.endpoint)
        if not crossed.ended(TIMEOUT) or crossed.error:
            return "the inside host's own SYN opens nothing"
        if not syn.ended(TIMEOUT):
            return "silence"
        took = time.monotonic() - before
        # Those of earlier questions are answered, too.
        heard = {each.source for each in self._heard(self._outer) if each.kind == PORT_UNREACHABLE}
        told = heard & {syn.endpoint, crossed.endpoint}
        if told != {syn.endpoint} or syn.error != errno.ECONNREFUSED:
            return f"error {syn.error}, and ICMP about {told or 'nothing'}"
        return HELD if took >= HELD_FOR else f"port unreachable after {took:.1f} s"

    @staticmethod
    def _heard(raw: socket.socket) -> list[_Error]:
        """The packets that have come since it was asked last."""
        heard: list[_Error] = []
        while True:
            try:
                packet = raw.recv(2048)
            except BlockingIOError:
                return heard
            if (error := _read(packet)) is not None:
                heard.append(error)


class _Syn:
    """A socket of a node, whose kernel connects it."""

    def __init__(self, pid: int, address: str, stack: ExitStack) -> None:
        with in_namespace(pid):
            self._socket = stack.enter_context(socket.socket())
        self._socket.setblocking(False)
        self._socket.bind((address, 0))
        self.endpoint = endpoint(self._socket)

    def connect(self, target: Endpoint) -> None:
        self._socket.connect_ex(target.sockaddr)

    def ended(self, within: float) -> bool:
        """Whether the attempt has ended; then `error` is its error, or 0."""
        if not select.select([], [self._socket], [], within)[1]:
            return False
        self.error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return True


def error_about(kind: tuple[int, int], source: Endpoint, target: Endpoint) -> bytes:
    """An ICMP error that quotes a UDP datagram, as little of it as RFC 792 asks for."""
    addresses = socket.inet_aton(source.address) + socket.inet_aton(target.address)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 36, 1, 0, 60, socket.IPPROTO_UDP, 0) + addresses
    head = head[:10] + struct.pack("!H", internet_checksum(head)) + head[12:]
    quoted = head + struct.pack("!HHHH", source.port, target.port, 16, 0x1234)
    # The last field is the MTU of a hop where fragmentation is needed (RFC 1191), else unused.
    message = struct.pack("!BBHHH", *kind, 0, 0, 1400 if kind == (_UNREACHABLE, 4) else 0) + quoted
    return message[:2] + struct.pack("!H", internet_checksum(message)) + message[4:]


def _read(packet: bytes) -> _Error | None:
    """The ICMP error in `packet`, or None if it is none, or a checksum in it is wrong."""
    message = packet[4 * (packet[0] & 0xF) :]
    quoted = message[8:]
    if message[0] not in {_UNREACHABLE, _TIME_EXCEEDED} or len(quoted) < _HEADER + _QUOTED_OCTETS:
        return None
    if internet_checksum(message) or internet_checksum(quoted[:_HEADER]):
        return None
    source_port, target_port = struct.unpack_from("!HH", quoted, _HEADER)
    return _Error(
        socket.inet_ntoa(packet[12:16]),
        (message[0], message[1]),
        Endpoint(socket.inet_ntoa(quoted[12:16]), source_port),
        Endpoint(socket.inet_ntoa(quoted[16:20]), target_port),
    )
