"""Non-blocking UDP sockets: opened in one way, read and written in batches, answering from the address asked."""

from __future__ import annotations

import errno
import logging
import resource
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from nat_traversal.aio.features import set_linux_option
from nat_traversal.errors import LocalAddressError, UsageError
from nat_traversal.machine.events import LocalAddress
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.tray import Run

log = logging.getLogger(__name__)

SOCKET_BUFFER = 4 << 20
"""Octets asked of the kernel for each direction; it grants what ``net.core.rmem_max`` allows."""
_BUFFERS = (socket.SO_RCVBUF, socket.SO_SNDBUF)
LONGEST = 65_536
"""Octets of room for a datagram: none is longer."""
BATCH = 64
"""Datagrams in one batch, about: as many as one run may have. More would make the next hop wait for the first of them."""
ALONE = 100e-6
"""Seconds since a socket was last read after which a datagram counts as a lone one: it goes on before anybody looks for
more. Below that, looking for more first costs less for each."""
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
"""The socket family for the IP version of an endpoint."""
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE = 10, 23, 0, 3
"""linux/in.h and in6.h; Python has no names for them before 3.14."""
_PKTINFO = struct.Struct("=I4s4s")
_PKTINFO_6 = struct.Struct("=16sI")
PKTINFO = frozenset({(socket.IPPROTO_IP, IP_PKTINFO), (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)})
"""Level and kind of what the kernel says of the address that a datagram was sent to."""
_ANCILLARY = socket.CMSG_SPACE(_PKTINFO_6.size)
SPARE_FILES = 64
"""File descriptors kept for everything that comes and goes without being counted."""

Local = LocalAddress | None
"""The address to answer from; None: the socket is bound to it."""


def wildcard(family: int) -> Endpoint:
    """Every address of this host, any free port. `family` is the IP version, 4 or 6."""
    return Endpoint("::" if family == 6 else "0.0.0.0", 0)  # noqa: S104


def socket_address(endpoint: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
    """The form that Python's socket calls take; of ``fe80::1%eth0`` a zone as a name would be lost in them.

    Raises `OSError` if there is no such interface.
    """
    host, _, zone = endpoint.address.partition("%")
    if not zone:
        return endpoint.sockaddr
    return host, endpoint.port, 0, int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)


def open_udp(
    local: Endpoint, buffer: int = SOCKET_BUFFER, *, only_v6: bool = False
) -> socket.socket:
    """A non-blocking UDP socket bound to `local`, whose address says the family; port 0 is any free one.

    IP may fragment what leaves it: nobody sizes what programs send, so that anything else would lose datagrams.
    `only_v6`: let ``::`` be no IPv4 address. `buffer`: octets asked of the kernel for each direction. Raises `UsageError` if it cannot be bound,
    its kind `LocalAddressError` where time may cure that.
    """
    try:
        sock = socket.socket(FAMILIES[local.family], socket.SOCK_DGRAM)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise
        raise bind_problem("UDP", local.address, local.port, error) from error
    try:
        sock.setblocking(False)
        for option in _BUFFERS:
            sock.setsockopt(socket.SOL_SOCKET, option, buffer)
        if only_v6 and local.family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _discover_mtu(sock, IP_PMTUDISC_DONT)
        sock.bind(socket_address(local))
    except OSError as error:
        sock.close()
        raise bind_problem("UDP", local.address, local.port, error) from error
    if log.isEnabledFor(logging.DEBUG):
        granted = [sock.getsockopt(socket.SOL_SOCKET, each) for each in _BUFFERS]
        log.debug(
            "socket buffers: asked %d octets, got %d to receive, %d to send", buffer, *granted
        )
    return sock


def forbid_fragments(sock: socket.socket) -> None:
    """Never let IP fragment what leaves `sock`, whatever the kernel has heard of the path's MTU: what is
    too long gets lost or refused, and so is found out (RFC 8899 section 4.2)."""
    _discover_mtu(sock, IP_PMTUDISC_PROBE)


def _discover_mtu(sock: socket.socket, how: int) -> None:
    """An IPv6 socket may speak IPv4 too, which has its own option."""
    options = [(socket.IPPROTO_IP, IP_MTU_DISCOVER)]
    if sock.family == socket.AF_INET6:
        options.append((socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER))
    try:
        for level, option in options:
            set_linux_option(sock, level, option, how)
    except OSError as error:  # not Linux
        log.debug("the kernel decides whether IP fragments: %s", error)


def family_of(host: str) -> socket.AddressFamily:
    """The family of an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind_problem(transport: str, host: str, port: int, error: OSError) -> UsageError:
    """Why a port cannot be had, and what to do."""
    where = f"cannot use {transport} {HostPort(host, port)}"
    zone = host.partition("%")[2]
    if zone and error.errno in (None, errno.ENODEV):
        return LocalAddressError(f"{where}: this host has no interface {zone!r}", in_use=False)
    if error.errno == errno.EADDRNOTAVAIL:
        return LocalAddressError(f"{where}: this host has no such address", in_use=False)
    if error.errno == errno.EADDRINUSE:
        remedy = "another program has it: stop that, or choose another port"
        return LocalAddressError(f"{where}: {remedy}", in_use=True)
    if error.errno == errno.EAFNOSUPPORT:
        return UsageError(f"{where}: this host has no IPv{6 if ':' in host else 4}")
    if error.errno == errno.EACCES:
        return UsageError(f"{where}: ports below 1024 need root or CAP_NET_BIND_SERVICE")
    return UsageError(f"{where}: {error.strerror or error}")


class Batch(NamedTuple):
    """Datagrams that were read at once, in order."""

    runs: list[Run]
    """Valid until the tray is filled anew."""
    origins: list[Origin]
    """Of each run."""
    is_last: bool
    """Nothing was left to be read."""
    total: int
    """How many datagrams there are."""


Origin = tuple[tuple[str, int], bytes]
"""Where datagrams came from, and what the kernel says of the address they were sent to (`AnsweringSocket.local`)."""


class PacketIO(Protocol):
    """A connected socket, or what stands for one: the seam for reading and writing many datagrams at once."""

    def receive(self, most: int = ..., *, again: bool = False) -> Batch:
        """The datagrams that are there, about `most` of them. `again`: the caller has just had some, so that none
        are no sign of an error."""

    def send_run(self, octets: memoryview, size: int) -> int:
        """Send the datagrams of `size` octets, the last may be shorter, that lie in `octets`. How many left.
        The owner has been told of each that did not."""

    def send_parts(self, parts: Sequence[memoryview]) -> int:
        """The same for datagrams that lie apart."""


Failed = Callable[[OSError, memoryview], None]
"""Told of each datagram that did not leave, with the reason."""


class AnsweringSocket:
    """A UDP socket for serving: on a wildcard address it remembers where each datagram was sent to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.endpoint = endpoint_of(sock.getsockname())
        """Where it is bound."""
        self.is_wildcard = self.endpoint.address in ("0.0.0.0", "::")  # noqa: S104
        self._family = sock.family
        self._asked: tuple[bytes, Local] = (b"", None)
        """The last ancillary data and what it says: most datagrams are sent to one address."""
        if self.is_wildcard and self._family == socket.AF_INET:
            self._tell_local()
        elif self.is_wildcard:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def _tell_local(self) -> None:
        try:
            set_linux_option(self.sock, socket.IPPROTO_IP, IP_PKTINFO, 1)
        except OSError as error:  # not Linux: the kernel chooses the address of answers
            log.debug("the kernel tells no address that was asked: %s", error)

    def receive_into(self, view: memoryview) -> tuple[int, tuple[str, int], Local]:
        """One datagram: its length, source and the address it was sent to. Raises what `recvmsg` raises."""
        if not self.is_wildcard:
            length, source = self.sock.recvfrom_into(view)
            return length, source, None
        length, ancillary, _, source = self.sock.recvmsg_into([view], _ANCILLARY)
        for level, kind, data in ancillary:
            if (level, kind) in PKTINFO:
                return length, source, self.local(data)
        return length, source, None

    def local(self, data: bytes) -> Local:
        """The address in what the kernel says beside a datagram; None if it says nothing."""
        if not data:
            return None
        if data != self._asked[0]:
            self._asked = (data, self._address_in(data))
        return self._asked[1]

    def answer(self, data: memoryview | bytes, destination: tuple[str, int], local: Local) -> None:
        """Send from the address `local`. Raises what `sendmsg` raises."""
        if local is None:
            self.sock.sendto(data, destination)
        else:
            self.sock.sendmsg([data], self.sent_from(local), 0, destination)

    def sent_from(self, local: Local) -> list[tuple[int, int, bytes]]:
        """Ancillary data by which the kernel sends from the address `local`."""
        return [] if local is None else [self._sent_from(local)]

    def close(self) -> None:
        self.sock.close()

    def _address_in(self, data: bytes) -> LocalAddress:
        if self._family == socket.AF_INET:
            # ipi_spec_dst: an address of this host even where a broadcast address was asked
            _, here, _ = _PKTINFO.unpack(data)
        else:
            here, _ = _PKTINFO_6.unpack(data)
        return LocalAddress(socket.inet_ntop(self._family, here))

    def _sent_from(self, local: LocalAddress) -> tuple[int, int, bytes]:
        here = socket.inet_pton(self._family, local.address)
        if self._family == socket.AF_INET:
            return socket.IPPROTO_IP, IP_PKTINFO, _PKTINFO.pack(0, here, bytes(4))
        return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO_6.pack(here, 0)


def endpoint_of(address: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    """The endpoint in a Python socket address."""
    return Endpoint(address[0].partition("%")[0], address[1])


def room_problem() -> OSError | None:
    """Why this process can open no socket now; None if it can."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error
    return None


def file_limit(wanted: int) -> int:
    """How many of `wanted` open files this process may have; raises its soft limit for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    except (OSError, ValueError):  # a service manager may forbid it
        return soft
    return granted
