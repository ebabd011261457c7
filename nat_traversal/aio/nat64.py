"""A client's way to IPv4 hosts where it has IPv6 alone: the prefix of its network's NAT64, from the system's resolver.

It is asked for once for each connection to the server. That waits for the answer, for a moment at most, where the
server's own addresses look like a NAT64's, and where it has IPv4 addresses alone: then there is no other way to it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import replace

from nat_traversal.aio.platform import Platform
from nat_traversal.errors import NameUnresolvedError
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import nat64
from nat_traversal.wire.addresses import is_link_local
from nat_traversal.wire.endpoint import Endpoint, HostPort

log = logging.getLogger(__name__)

NO_PREFIX = (
    "this host has IPv6 alone, and its name server tells of no NAT64:"
    " give --server a name, or an IPv6 address"
)
"""The remedy where the server has IPv4 alone."""
_ASKED = HostPort(nat64.NAME, 9)


class Edge:
    """The edge of a client's sockets: where a datagram goes, and how its source is known. Both stay as they are
    unless a NAT64 is in `way`."""

    def __init__(self) -> None:
        self.way: nat64.Nat64 | None = None

    def outside(self, endpoint: Endpoint, sock: socket.socket | None = None) -> Endpoint:
        """Where `sock` has to send to; None: one of IPv6."""
        if self.way is None or (sock is not None and sock.family != socket.AF_INET6):
            return endpoint
        return self.way.outside(endpoint)

    def inside(self, source: Endpoint) -> Endpoint:
        """The source as it is known."""
        return source if self.way is None else self.way.inside(source)

    def ipv4_of(self, server: Endpoint) -> Endpoint:
        """A server as others reach it, where this host has it by the NAT64."""
        address = None if self.way is None else self.way.prefix.extract(server.address)
        return server if address is None else Endpoint(address, server.port)

    def inside_address(self, address: str) -> str:
        """The same of an address without a port."""
        return self.inside(Endpoint(address, 0)).address


class Nat64Finder:
    """Puts the NAT64 by which the server is reached in `edge.way`, where this host has IPv6 alone."""

    def __init__(self, platform: Platform, settings: ClientSettings | None = None) -> None:
        self.edge = Edge()
        self._platform = platform
        self._within = (settings or ClientSettings()).nat64_within
        self._prefixes: tuple[nat64.Prefix, ...] = ()
        self._server: Endpoint | None = None
        self._asking: asyncio.Task[None] | None = None
        self.lacks_prefix = False
        """The server has IPv4 addresses alone, this host has IPv6 alone, and nobody has told a prefix between the two."""

    async def connects(self, addresses: Sequence[Endpoint]) -> list[Endpoint]:
        """A connection to one of these is about to be made, perhaps from another network than the last one. Where to
        connect to."""
        self.lacks_prefix = False
        if _has_ipv6(addresses) and not self._platform.has_ipv4():
            asking = self._asks()
            if nat64.may_be_translated(each.address for each in addresses):
                await asyncio.wait({asking})
        elif self._has_no_other_way(addresses):
            found = await self._behind(addresses)
            self.lacks_prefix = not found
            return found or list(addresses)
        else:
            self._found(())
        return list(addresses)

    async def resolve(self, name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
        """As the platform's: where to reach `name` from here, also if it has IPv4 addresses alone."""
        addresses = await self._platform.resolve(name, families=families)
        found = await self._behind(addresses) if self._has_no_other_way(addresses) else []
        return found or addresses

    async def way_to(self, addresses: Sequence[Endpoint]) -> tuple[Endpoint, nat64.Nat64] | None:
        """The IPv4 one of these, and the NAT64 by which this host reaches it; None: it needs none, or knows none.

        Everything there goes by its IPv4 address, that one too.
        """
        ipv4 = [each for each in addresses if nat64.may_cross(each)]
        is_of_dns64 = bool(ipv4) and nat64.may_be_translated(each.address for each in addresses)
        if not self._has_no_other_way(ipv4 if is_of_dns64 else addresses):
            return None
        await asyncio.wait({self._asks()})
        for prefix in self._prefixes:
            there = nat64.behind(ipv4[0], prefix)
            if there is not None:
                return ipv4[0], nat64.Nat64(prefix, replace(there, port=0))
        return None

    def _has_no_other_way(self, addresses: Sequence[Endpoint]) -> bool:
        """Only a NAT64 leads from here to one of these."""
        is_ipv4 = not _has_ipv6(addresses) and any(map(nat64.may_cross, addresses))
        return is_ipv4 and not self._platform.has_ipv4() and self._platform.has_ipv6()

    async def _behind(self, addresses: Sequence[Endpoint]) -> list[Endpoint]:
        """These, behind each prefix of the network's."""
        await asyncio.wait({self._asks()})
        found = (nat64.behind(each, prefix) for prefix in self._prefixes for each in addresses)
        return [each for each in found if each is not None]

    def _asks(self) -> asyncio.Task[None]:
        """The question that is out."""
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self._asking

    def reached(self, server: Endpoint) -> None:
        """It is the one that was reached."""
        self._server = server
        self._find_way()

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        found = self._prefixes  # those of an earlier answer hold until there is another one
        try:
            answer = self._platform.resolve(_ASKED, families=(6,))
            addresses = await asyncio.wait_for(answer, self._within)
            found = nat64.prefixes_in(each.address for each in addresses)
        except NameUnresolvedError as error:
            found = found if error.is_temporary else ()
        except OSError as error:
            log.debug("no word of a NAT64: %s", error)
        finally:
            self._asking = None
        self._found(found)

    def _found(self, prefixes: tuple[nat64.Prefix, ...]) -> None:
        self._prefixes = prefixes
        self._find_way()

    def _find_way(self) -> None:
        way = None if self._server is None else nat64.way_to(self._server, self._prefixes)
        if way is not None and way != self.edge.way:
            log.debug("IPv4 hosts are reached by NAT64, with the prefix %s", way.prefix)
        self.edge.way = way


def _has_ipv6(addresses: Sequence[Endpoint]) -> bool:
    """Whether another host may have one of these, by which no NAT64 is needed."""
    ipv6 = (each for each in addresses if each.family == 6 and not each.is_loopback)
    return not all(is_link_local(each.address) for each in ipv6)
