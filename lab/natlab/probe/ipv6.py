"""Claims about IPv6 behind a router that may translate it: `dual_stack`, host_a behind nat_a."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv6Address, IPv6Interface
from typing import TYPE_CHECKING

from natlab.behavior import NatBehavior
from natlab.probe import nat64
from natlab.probe.finding import Finding
from natlab.probe.sockets import TIMEOUT, heard, internet_checksum, one_cpu
from natlab.sandbox.netns import in_namespace, udp_socket
from natlab.terms import Ipv6, Ipv6Filtering

if TYPE_CHECKING:
    from natlab.network.network import Network

_SEEN = {
    Ipv6.FIREWALL: "its own address and port",
    Ipv6.NAT66: "the router's address, its own port",
    Ipv6.NAT66_FRESH: "the router's address, another port for each destination",
    Ipv6.NPTV6: "its own address in the outer prefix, its own port",
}
_FILTERS = {
    Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT: "open to whom it has sent",
    Ipv6Filtering.ADDRESS_DEPENDENT: "open to addresses it has sent to",
    Ipv6Filtering.ENDPOINT_INDEPENDENT: "open to all",
}
_CHECKSUMS = dict.fromkeys(Ipv6, "as inside") | dict.fromkeys(
    (Ipv6.NAT66, Ipv6.NAT66_FRESH), "another, and right"
)
APDF = Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT
_Place = tuple[str, int]


def of(behavior: NatBehavior, really: str) -> list[Finding]:
    """`examined`, of a NAT called `really` that is to be `behavior`, where its IPv6 is unusual."""
    does = behavior.ipv6, behavior.ipv6_filtering
    if behavior.ipv6 is Ipv6.NAT64:
        return nat64.examined(really, behavior)
    return [] if does == (Ipv6.FIREWALL, APDF) else examined(really, *does)


def examined(nat: str, ipv6: Ipv6, filtering: Ipv6Filtering = APDF) -> list[Finding]:
    """`findings` of a NAT called `nat`, in a network of its own. Runs in a sandbox."""
    from natlab.network.network import standing  # noqa: PLC0415 - only a sandbox imports Mininet
    from natlab.topologies.dual_stack import DualStack  # noqa: PLC0415

    with standing(DualStack(nat_a=nat, nat_b="none")) as network:
        return [*findings(network, ipv6, filtering)]


def findings(network: Network, ipv6: Ipv6, filtering: Ipv6Filtering = APDF) -> Iterator[Finding]:
    """Of nat_a in a standing `dual_stack`. To be asked before its links have conditions."""
    with ExitStack() as stack:
        stack.enter_context(one_cpu())
        asked = _Asked(network, stack)
        seen = [asked.out(remote) for remote in asked.remotes]
        yield Finding("IPv6 source", _SEEN[ipv6], asked.in_words(seen))
        yield Finding("IPv6 checksum", _CHECKSUMS[ipv6], asked.checksum())
        yield Finding("IPv6 filtering", _FILTERS[filtering], asked.filtering(seen))
        wanted = "the host is not reached"
        yield Finding("IPv6 unasked", wanted, asked.unasked(seen[0]))


class _Asked:
    def __init__(self, network: Network, stack: ExitStack) -> None:
        self._stack = stack
        self._pid = network.pid("host_a")
        self._host = _first(network, "host_a")
        self._router = _first(network, "nat_a", "nat_a-wan")
        server, internet = network.pid("server"), network.pid("internet")
        at_server, elsewhere = (
            str(_first(network, "server").ip),
            str(_first(network, "internet", "internet-s").ip),
        )
        self.remotes = [
            self._socket(*place)
            for place in ((server, at_server), (server, at_server), (internet, elsewhere))
        ]
        self._server = server
        self._inside = self._socket(self._pid, str(self._host.ip))

    def out(self, remote: socket.socket, inside: socket.socket | None = None) -> _Place:
        """Send from the one inside socket, unless told of another; the source that the remote sees."""
        token = secrets.token_bytes(8)
        (inside or self._inside).sendto(token, remote.getsockname()[:2])
        return heard(remote, token, "a datagram over IPv6")

    def in_words(self, seen: list[_Place]) -> str:
        ports = {port for _, port in seen}
        if {IPv6Address(each) for each, _ in seen} == {self._router.ip} and len(ports) == len(seen):
            return _SEEN[Ipv6.NAT66_FRESH]
        if len(set(seen)) > 1:
            return f"another for each destination: {seen}"
        (address, port), own = seen[0], self._inside.getsockname()
        if port != own[1]:
            return f"port {port} for {own[1]}"
        found = IPv6Address(address)
        if found == self._host.ip:
            return _SEEN[Ipv6.FIREWALL]
        if found == self._router.ip:
            return _SEEN[Ipv6.NAT66]
        same = int(found) & (2**64 - 1) == int(self._host.ip) & (2**64 - 1)
        return _SEEN[Ipv6.NPTV6] if same else f"{found} for {self._host.ip}"

    def checksum(self) -> str:
        """Of a datagram as a raw socket outside gets it, held against the one that it has inside."""
        remote, token = self.remotes[0], secrets.token_bytes(8)
        with in_namespace(self._server):
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP)
        self._stack.enter_context(raw)
        raw.bind((remote.getsockname()[0], 0))
        raw.settimeout(TIMEOUT)
        self._inside.sendto(token, remote.getsockname()[:2])
        datagram, source = b"", ("", 0)
        while not datagram.endswith(token):
            datagram, source = raw.recvfrom(64)
        inside, target = self._inside.getsockname(), remote.getsockname()
        own = _udp_checksum((inside[0], inside[1]), (target[0], target[1]), token)
        (got,) = struct.unpack_from("!H", datagram, 6)
        (port,) = struct.unpack_from("!H", datagram)
        right = _udp_checksum((source[0], port), (target[0], target[1]), token)
        if got != right:
            return f"{got:04x}, where {right:04x} would be right"
        return "as inside" if got == own else "another, and right"

    def filtering(self, seen: list[_Place]) -> str:
        """An inside socket has sent to the first remote. Others: of the same address, and of another one."""
        inside, (first, _, third) = self._socket(self._pid, str(self._host.ip)), self.remotes
        mapped = self.out(first, inside)
        if not self._comes_in(first, mapped, inside):
            return f"closed to whom it has sent: {seen}"
        sibling = self._socket(self._server, first.getsockname()[0])
        let_in = (self._comes_in(sibling, mapped, inside), self._comes_in(third, mapped, inside))
        return {
            (False, False): _FILTERS[APDF],
            (True, False): _FILTERS[Ipv6Filtering.ADDRESS_DEPENDENT],
            (True, True): _FILTERS[Ipv6Filtering.ENDPOINT_INDEPENDENT],
        }.get(let_in, "open to other addresses alone")

    def unasked(self, mapped: _Place) -> str:
        """From where others have sent to, to a port of the host that has sent nothing."""
        silent = self._socket(self._pid, str(self._host.ip))
        target = mapped[0], silent.getsockname()[1]
        came = self._comes_in(self.remotes[0], target, silent)
        return "the host is reached" if came else "the host is not reached"

    def _comes_in(
        self, sender: socket.socket, target: _Place, receiver: socket.socket | None = None
    ) -> bool:
        token, at = secrets.token_bytes(8), receiver or self._inside
        sender.sendto(token, target)
        # One processor carries all in order: the answer on the open way is behind it.
        fence = secrets.token_bytes(8)
        where = self.out(self.remotes[0])
        self.remotes[0].sendto(fence, where)
        came = False
        if at is self._inside:
            while (data := self._inside.recv(64)) != fence:
                came |= data == token
            return came
        heard(self._inside, fence, "a datagram over IPv6")
        at.setblocking(False)
        try:
            return at.recv(64) == token
        except BlockingIOError:
            return False

    def _socket(self, pid: int, address: str) -> socket.socket:
        opened = self._stack.enter_context(udp_socket(pid, address))
        opened.settimeout(TIMEOUT)
        return opened


def _udp_checksum(source: _Place, target: _Place, payload: bytes) -> int:
    """RFC 8200 section 8.1."""
    size = 8 + len(payload)
    pseudo = b"".join(socket.inet_pton(socket.AF_INET6, each) for each, _ in (source, target))
    pseudo += struct.pack("!IHBB", size, 0, 0, socket.IPPROTO_UDP)
    head = struct.pack("!HHHH", source[1], target[1], size, 0)
    return internet_checksum(pseudo + head + payload) or 0xFFFF


def _first(network: Network, node: str, interface: str | None = None) -> IPv6Interface:
    groups = network.addresses(node)
    found = groups.values() if interface is None else [groups[interface]]
    return next(each for group in found for each in group if isinstance(each, IPv6Interface))
