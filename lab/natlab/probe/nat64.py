"""Claims about a NAT64 with DNS64 (RFC 6146, 6052, 6147): the topology `nat64`, host_a with IPv6 alone.

Every packet of the one host crosses one translator, which keeps their order. So a fence tells here, too, what
has arrived (`natlab.probe.sockets`). Names are asked by `dig`, which is not ours.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping
from natlab.behavior import NatBehavior
from natlab.errors import NetworkError
from natlab.network.addressing import SERVER, SERVER_SECOND
from natlab.network.translator import PREFIX, RECORDS
from natlab.probe.finding import Finding
from natlab.probe.sockets import TIMEOUT, heard, one_cpu
from natlab.sandbox.netns import in_namespace, udp_socket

if TYPE_CHECKING:
    from natlab.network.network import Network

_Place = tuple[str, int]
_HAIRPIN = {
    Hairpin.NONE: "not delivered",
    Hairpin.INTERNAL_SOURCE: "delivered from the internal source",
    Hairpin.EXTERNAL_SOURCE: "delivered from the external source",
}


def behind(address: str) -> str:
    """The IPv6 address of an IPv4 address in the translator's prefix (RFC 6052 section 2.2)."""
    return str(IPv6Address(int(IPv6Address(PREFIX)) | int(IPv4Address(address))))


def examined(nat: str, behavior: NatBehavior) -> list[Finding]:
    """`findings` of the NAT64 that has the NAT called `nat`, in a network of its own. Runs in a sandbox."""
    from natlab.network.network import standing  # noqa: PLC0415 - only a sandbox imports Mininet
    from natlab.topologies.nat64 import Nat64Home  # noqa: PLC0415

    with standing(Nat64Home(nat_a=nat, nat_b="none")) as network:
        return [*findings(network, behavior)]


def findings(network: Network, behavior: NatBehavior) -> Iterator[Finding]:
    """Of xlat_a and nat_a together in a standing `nat64`, before its links have conditions."""
    with ExitStack() as stack:
        stack.enter_context(one_cpu())
        asked = _Asked(network, stack)
        yield Finding("NAT64 mapping", str(behavior.mapping), asked.mapping())
        yield Finding("NAT64 filtering", str(behavior.filtering), asked.filtering())
        yield Finding("NAT64 hairpin", _HAIRPIN[behavior.hairpin], asked.hairpin())
        yield Finding("NAT64 sources", "the prefix and the IPv4 address", asked.sources())
        for name, (told, words) in RECORDS.items():
            yield Finding(f"DNS64, {words}", " ".join(told), asked.resolved(name))


class _Asked:
    def __init__(self, network: Network, stack: ExitStack) -> None:
        self._stack = stack
        self._host = network.pid("host_a")
        self._own = network.address("host_a")
        self._resolver = network.address("xlat_a")
        server = network.pid("server")
        first, second = str(SERVER.ip), str(SERVER_SECOND.ip)
        self._remotes = [self._socket(server, each) for each in (first, first, second, second)]
        self._fence = self._inside()
        self._outer = self._socket(server, first)

    def mapping(self) -> str:
        """One inside socket sends to two ports of each of two addresses."""
        inside = self._inside()
        seen = [self._out(inside, remote) for remote in self._remotes]
        if len(set(seen)) == 1:
            return str(Mapping.ENDPOINT_INDEPENDENT)
        if seen[0] == seen[1] and seen[2] == seen[3]:
            return str(Mapping.ADDRESS_DEPENDENT)
        different = len(set(seen)) == len(seen)
        return str(Mapping.ADDRESS_AND_PORT_DEPENDENT) if different else str(seen)

    def filtering(self) -> str:
        """An inside socket sends to the first remote; then another one, of the same address or not, sends to it."""
        let_in = []
        for stranger in (self._remotes[1], self._remotes[2]):
            inside = self._inside()
            mapped = self._out(inside, self._remotes[0])
            let_in.append(self._comes_in(stranger, mapped, inside) is not None)
        return {
            (True, True): str(Filtering.ENDPOINT_INDEPENDENT),
            (True, False): str(Filtering.ADDRESS_DEPENDENT),
            (False, False): str(Filtering.ADDRESS_AND_PORT_DEPENDENT),
        }.get((let_in[0], let_in[1]), "open to other addresses alone")

    def hairpin(self) -> str:
        """Each of two inside sockets sends to where the server sees the other, so that filters are open; then again."""
        one, other = self._inside(), self._inside()
        mapped = [self._out(each, self._remotes[0]) for each in (one, other)]
        ways = ((one, mapped[1], other), (other, mapped[0], one), (one, mapped[1], other))
        source = None
        for sender, (address, port), receiver in ways:
            source = self._comes_in(sender, (behind(address), port), receiver)
        if source is None:
            return _HAIRPIN[Hairpin.NONE]
        if source[0] == behind(mapped[0][0]):
            return _HAIRPIN[Hairpin.EXTERNAL_SOURCE]
        return _HAIRPIN[Hairpin.INTERNAL_SOURCE] if source[0] == self._own else f"from {source}"

    def sources(self) -> str:
        """An answer's source inside, against what the host has sent to."""
        inside, remote = self._inside(), self._remotes[2]
        address, port = remote.getsockname()
        source = self._comes_in(remote, self._out(inside, remote), inside)
        return (
            "the prefix and the IPv4 address" if source == (behind(address), port) else f"{source}"
        )

    def resolved(self, name: str) -> str:
        """The AAAA records that DNS64 tells, in order."""
        words = ("dig", "+short", "+tries=3", "AAAA", name, f"@{self._resolver}")
        try:
            with in_namespace(self._host):
                done = subprocess.run(
                    words, capture_output=True, encoding="utf-8", errors="replace", check=False
                )
        except OSError as error:
            raise NetworkError(
                f"cannot start dig: {error.strerror}; install bind9-dnsutils"
            ) from None
        return " ".join(sorted(done.stdout.split())) or "nothing"

    def _out(self, inside: socket.socket, remote: socket.socket) -> _Place:
        """Send out, which has to arrive. The source that the remote sees."""
        token = secrets.token_bytes(8)
        address, port = remote.getsockname()
        inside.sendto(token, (behind(address), port))
        return heard(remote, token, "a datagram by NAT64")

    def _comes_in(
        self, sender: socket.socket, target: _Place, receiver: socket.socket
    ) -> _Place | None:
        """The source with which a datagram came to `receiver`; None if it did not."""
        token = secrets.token_bytes(8)
        sender.sendto(token, target)
        # Twice through all queues: a hairpinned one crosses the translator twice.
        for _ in range(2):
            fence = secrets.token_bytes(8)
            self._outer.sendto(fence, self._out(self._fence, self._outer))
            heard(self._fence, fence, "a datagram by NAT64")
        receiver.setblocking(False)
        try:
            while True:
                data, source = receiver.recvfrom(64)
                if data == token:
                    return source[0], source[1]
        except BlockingIOError:
            return None
        finally:
            receiver.settimeout(TIMEOUT)

    def _inside(self) -> socket.socket:
        return self._socket(self._host, self._own)

    def _socket(self, pid: int, address: str) -> socket.socket:
        opened = self._stack.enter_context(udp_socket(pid, address))
        opened.settimeout(TIMEOUT)
        return opened
