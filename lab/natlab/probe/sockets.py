"""Datagrams between inside hosts and a node outside, of which each is known to have arrived or not.

No answer rests on waiting. One thread on one CPU sends the packets, and each hop of the virtual network
is that CPU's receive queue, so they keep their order. When a datagram of a flow known to be open comes
back, each packet sent before it has arrived or never will (`docs/lab/how-it-works.md`, "The probes").
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint
from natlab.errors import NetworkError
from natlab.sandbox.netns import in_namespace, udp_socket

TIMEOUT = 10.0
"""Seconds after which a datagram that has to arrive means a broken network."""
_DESTINATION_UNREACHABLE, _ECHO_REQUEST = 3, 8
SAME_ENDPOINT, SAME_ADDRESS, OTHER_ADDRESS, BOTH_OTHER = range(4)
"""The remotes, as seen from what was sent to the first."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One datagram: sent from `source` to `target`; if it arrived, `seen_as` is its source there."""

    question: str
    source: Endpoint
    target: Endpoint
    seen_as: Endpoint | None

    @property
    def arrived(self) -> bool:
        return self.seen_as is not None

    def __str__(self) -> str:
        fate = f"arrived from {self.seen_as}" if self.arrived else "did not arrive"
        return f"{self.question}: {self.source} -> {self.target} {fate}"


@dataclass(frozen=True, slots=True)
class Host:
    """An inside host: the process that holds its namespaces, and its address."""

    pid: int
    address: str


def _echo_request(payload: bytes) -> bytes:
    """RFC 792, with its checksum. `payload` has an even number of octets."""
    message = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, 0, 0) + payload
    return message[:2] + struct.pack("!H", internet_checksum(message)) + message[4:]


def internet_checksum(octets: bytes) -> int:
    """RFC 1071's: 0 of what holds a right one. An odd number of octets is filled up with a zero."""
    words = struct.iter_unpack("!H", octets + b"\0" * (len(octets) % 2))
    total: int = sum(word for (word,) in words)
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def heard(receiver: socket.socket, token: bytes, what: str) -> tuple[str, int]:
    """Wait for `token`, and return the address and port that it came from. Raises `NetworkError`, which says that `what`
    did not arrive."""
    data, source = b"", ("", 0)
    while data != token:
        try:
            data, source = receiver.recvfrom(2048)
        except TimeoutError:
            raise NetworkError(f"did not arrive in {TIMEOUT:g} s: {what}") from None
    return source[0], source[1]


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep this thread on one CPU, without which packets could overtake each other."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def endpoint(opened: socket.socket) -> Endpoint:
    """Where `opened` is bound."""
    return Endpoint(*opened.getsockname())


@dataclass(frozen=True, slots=True)
class Outside:
    """A node outside a NAT: the process that holds its namespaces, and two addresses of it."""

    pid: int
    first: str
    second: str


class Exchange:
    """Sockets outside a NAT, and those of the hosts behind it. To be used within `one_cpu`.

    `remotes` are four: two addresses outside, two ports each. `probes` is the record.
    """

    def __init__(self, host: Host, outside: Outside, stack: ExitStack) -> None:
        self.host = host
        self.probes: list[Probe] = []
        self._stack = stack
        self._outside = outside
        first, second = outside.first, outside.second
        self.remotes = [self._remote(first), self._remote(first)]
        self.remotes += [self._remote(second, endpoint(opened).port) for opened in self.remotes]
        with in_namespace(outside.pid):
            self._icmp = stack.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            )
        self._fence_inside = self.inside()
        self._fence_outside = self._remote(first)
        self.fence_target = Endpoint("0.0.0.0", 0)  # noqa: S104 - until `open_fence`

    def open_fence(self) -> Endpoint:
        """Open, or open again, the flow that tells when packets are where they end."""
        self.fence_target = self.send_out("fence", self._fence_inside, self._fence_outside)
        return self.fence_target

    def inside(self, host: Host | None = None, port: int = 0) -> socket.socket:
        """A fresh socket of an inside host: of the first, unless told of another."""
        at = host or self.host
        opened = self._stack.enter_context(udp_socket(at.pid, at.address, port))
        opened.settimeout(TIMEOUT)
        return opened

    def send_out(self, question: str, inside: socket.socket, remote: socket.socket) -> Endpoint:
        """Send from inside to a remote, which has to arrive. Returns the source seen there."""
        token = secrets.token_bytes(8)
        source, target = endpoint(inside), endpoint(remote)
        inside.sendto(token, target.sockaddr)
        seen_as = Endpoint(*heard(remote, token, f"{question}: {source} -> {target}"))
        self.probes.append(Probe(question, source, target, seen_as))
        return seen_as

    def send_in(
        self, question: str, sender: socket.socket, target: Endpoint, receiver: socket.socket
    ) -> Probe:
        """Send from a remote, or from another inside host, to `target`: did `receiver` get it?"""
        token = secrets.token_bytes(8)
        sender.sendto(token, target.sockaddr)
        self.settle()
        seen_as = None
        receiver.setblocking(False)
        try:
            while seen_as is None:
                data, sockaddr = receiver.recvfrom(2048)
                if data == token:
                    seen_as = Endpoint(*sockaddr)
        except BlockingIOError:
            pass
        receiver.settimeout(TIMEOUT)
        probe = Probe(question, endpoint(sender), target, seen_as)
        self.probes.append(probe)
        return probe

    def is_refused(self, inside: socket.socket, remote: socket.socket) -> bool:
        """Whether what `inside` sends to `remote` is answered with an ICMP error before it arrives."""
        inside.connect(endpoint(remote).sockaddr)
        inside.send(secrets.token_bytes(8))
        self.settle()
        return inside.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def udp_passes(self) -> Probe:
        """Send out over UDP, and tell by a TCP connection behind it whether that arrived.

        Raises `NetworkError` if TCP does not pass either.
        """
        token = secrets.token_bytes(8)
        inside, remote = self._fence_inside, self._fence_outside
        inside.sendto(token, endpoint(remote).sockaddr)
        self.settle_by_tcp()
        seen_as = None
        remote.setblocking(False)
        try:
            data, sockaddr = remote.recvfrom(2048)
            if data == token:
                seen_as = Endpoint(*sockaddr)
        except BlockingIOError:
            pass
        remote.settimeout(TIMEOUT)
        probe = Probe("before a TCP connection", endpoint(inside), endpoint(remote), seen_as)
        self.probes.append(probe)
        return probe

    def echo_passes(self) -> bool:
        """Whether the server's answer to an ICMP echo comes back before a TCP connection stands.

        Raises `NetworkError` as `udp_passes` does.
        """
        token = secrets.token_bytes(8)
        with in_namespace(self.host.pid):
            pinging = self._stack.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            )
        pinging.sendto(_echo_request(token), (self._outside.first, 0))
        self.settle_by_tcp()
        pinging.setblocking(False)
        answer = b""
        try:
            while not answer.endswith(token):
                answer = pinging.recv(2048)
        except BlockingIOError:
            return False
        return True

    def heard_icmp_error(self) -> bool:
        """Whether the node outside has got an ICMP destination unreachable since it was asked last."""
        self._icmp.setblocking(False)
        came = False
        while True:
            try:
                packet = self._icmp.recv(2048)
            except BlockingIOError:
                return came
            header = 4 * (packet[0] & 0xF)
            came |= packet[header] == _DESTINATION_UNREACHABLE

    def _remote(self, address: str, port: int = 0) -> socket.socket:
        opened = self._stack.enter_context(udp_socket(self._outside.pid, address, port))
        opened.settimeout(TIMEOUT)
        return opened

    def settle(self) -> None:
        """A round trip of the fence flow: all packets sent before it are where they end."""
        token = secrets.token_bytes(8)
        self._fence_outside.sendto(token, self.fence_target.sockaddr)
        heard(self._fence_inside, token, "the fence inwards")
        self._fence_inside.sendto(token, endpoint(self._fence_outside).sockaddr)
        heard(self._fence_outside, token, "the fence outwards")

    def settle_by_tcp(self) -> None:
        """As `settle`, where no UDP passes: by a TCP connection to the server."""
        with in_namespace(self._outside.pid):
            listener = self._stack.enter_context(socket.socket())
        listener.bind((self._outside.first, 0))
        listener.listen()
        with in_namespace(self.host.pid):
            client = self._stack.enter_context(socket.socket())
        client.settimeout(TIMEOUT)
        try:
            client.connect(listener.getsockname())
        except OSError as error:
            raise NetworkError(f"TCP does not pass this NAT either: {error}") from None
