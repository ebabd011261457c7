"""Claims about IPv6 behind a router that may translate it: `dual_stack`, host_a behind nat_a."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv6Address, IPv6Interface
from typing import TYPE_CHECKING

from natlab.errors import NetworkError
from natlab.probe.finding import Finding
from natlab.probe.sockets import TIMEOUT, one_cpu
from natlab.sandbox.netns import udp_socket
from natlab.terms import Ipv6

if TYPE_CHECKING:
    from natlab.network.network import Network

_SEEN = {
    Ipv6.FIREWALL: "its own address and port",
    Ipv6.NAT66: "the router's address, its own port",
    Ipv6.NPTV6: "its own address in the outer prefix, its own port",
}
_Place = tuple[str, int]


def examined(nat: str, ipv6: Ipv6) -> list[Finding]:
    """`findings` of a NAT called `nat`, in a network of its own. Runs in a sandbox."""
    from natlab.network.network import standing  # noqa: PLC0415 - only a sandbox imports Mininet
    from natlab.topologies.dual_stack import DualStack  # noqa: PLC0415

    with standing(DualStack(nat_a=nat, nat_b="none")) as network:
        return [*findings(network, ipv6)]


def findings(network: Network, ipv6: Ipv6) -> Iterator[Finding]:
    """Of nat_a in a standing `dual_stack`. To be asked before its links have conditions."""
    with ExitStack() as stack:
        stack.enter_context(one_cpu())
        asked = _Asked(network, stack)
        seen = [asked.out(remote) for remote in asked.remotes]
        yield Finding("IPv6 source", _SEEN[ipv6], asked.in_words(seen))
        yield Finding("IPv6 filtering", "open to whom it has sent", asked.filtering(seen[0]))
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
        self._internet = internet
        self._inside = self._socket(self._pid, str(self._host.ip))

    def out(self, remote: socket.socket) -> _Place:
        """Send from the one inside socket; the source that the remote sees."""
        token = secrets.token_bytes(8)
        self._inside.sendto(token, remote.getsockname()[:2])
        return _heard(remote, token)

    def in_words(self, seen: list[_Place]) -> str:
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

    def filtering(self, mapped: _Place) -> str:
        """The inside socket has sent to all remotes; a fourth endpoint, of the same address, has got nothing."""
        let_in = [self._comes_in(remote, mapped) for remote in self.remotes]
        stranger = self._sibling()
        if not all(let_in):
            return f"answers let in: {let_in}"
        return "open to others" if self._comes_in(stranger, mapped) else "open to whom it has sent"

    def unasked(self, mapped: _Place) -> str:
        """From where others have sent to, to a port of the host that has sent nothing."""
        silent = self._socket(self._pid, str(self._host.ip))
        target = mapped[0], silent.getsockname()[1]
        came = self._comes_in(self.remotes[0], target, silent)
        return "the host is reached" if came else "the host is not reached"

    def _sibling(self) -> socket.socket:
        address = self.remotes[2].getsockname()[0]
        return self._socket(self._internet, address)

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
        _heard(self._inside, fence)
        at.setblocking(False)
        try:
            return at.recv(64) == token
        except BlockingIOError:
            return False

    def _socket(self, pid: int, address: str) -> socket.socket:
        opened = self._stack.enter_context(udp_socket(pid, address))
        opened.settimeout(TIMEOUT)
        return opened


def _heard(receiver: socket.socket, token: bytes) -> _Place:
    data, source = b"", ("", 0)
    while data != token:
        try:
            data, source = receiver.recvfrom(64)
        except TimeoutError:
            raise NetworkError(f"nothing arrived over IPv6 in {TIMEOUT:g} s") from None
    return source[0], source[1]


def _first(network: Network, node: str, interface: str | None = None) -> IPv6Interface:
    groups = network.addresses(node)
    found = groups.values() if interface is None else [groups[interface]]
    return next(each for group in found for each in group if isinstance(each, IPv6Interface))
