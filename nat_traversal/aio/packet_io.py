"""Non-blocking UDP sockets: opened in one way, read and written in batches, answering from the address asked."""

from __future__ import annotations

import errno
import ipaddress
import logging
import resource
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from nat_traversal.aio.soft_errors import Lost, SoftErrors
from nat_traversal.errors import LocalAddressError, UsageError
from nat_traversal.machine.events import LocalAddress
from nat_traversal.wire.endpoint import Endpoint, HostPort

log = logging.getLogger(__name__)

SOCKET_BUFFER = 4 << 20
"""Octets asked of the kernel for each direction; it grants what ``net.core.rmem_max`` allows."""
LONGEST = 65_536
"""Octets of room for a datagram: none is longer."""
BATCH = 32
"""Datagrams in one batch of a plain socket. More would make the next hop wait for the first of them."""
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
"""The socket family for the IP version of an endpoint."""
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE = 10, 23, 0, 3
"""linux/in.h and in6.h; Python has no names for them before 3.14."""
_PKTINFO = struct.Struct("=I4s4s")
_PKTINFO_6 = struct.Struct("=16sI")
_PKTINFO_KINDS = (
    (socket.IPPROTO_IP, IP_PKTINFO),
    (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO),
)
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
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, buffer)
        if only_v6 and local.family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _discover_mtu(sock, IP_PMTUDISC_DONT)
        sock.bind(socket_address(local))
    except OSError as error:
        sock.close()
        raise bind_problem("UDP", local.address, local.port, error) from error
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
            sock.setsockopt(level, option, how)
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


class Slots:
    """Places for the datagrams of one batch, each with room for the longest.

    `headroom` and `tailroom`: octets to leave free before and after each datagram, so that a header
    and a tag go in without a copy. Sockets that are read one after the other may share it.
    """

    def __init__(self, batch_size: int = BATCH, headroom: int = 0, tailroom: int = 0) -> None:
        self.batch_size = batch_size
        self.headroom = headroom
        self.room = headroom + tailroom
        size = LONGEST + self.room
        view = memoryview(bytearray(batch_size * size))  # the kernel gives memory where it is used
        wholes = [view[at : at + size] for at in range(0, len(view), size)]
        self.places = [(whole, whole[headroom : headroom + LONGEST]) for whole in wholes]
        """Each place, and the part of it where a datagram goes."""


class Batch(NamedTuple):
    """Datagrams that were read at once."""

    frames: list[memoryview]
    """Each with the room of its `Slots` around it, valid until the next batch is read into them."""
    is_last: bool
    """Nothing was left to be read."""


Received = tuple[memoryview, tuple[str, int], Local]
"""One datagram of an unconnected socket: its frame, as in `Batch`, its source, where it was sent to."""


class PacketIO(Protocol):
    """A connected socket, or what stands for one: the seam for reading and writing many datagrams at once."""

    @property
    def batch_size(self) -> int:
        """The most datagrams that `receive` gives."""

    def receive(self) -> Batch:
        """The datagrams that are there."""

    def send(self, frames: Sequence[bytes | memoryview]) -> int:
        """Send them in order; how many left. Each that did not has been told to the owner."""


Failed = Callable[[OSError, bytes | memoryview], None]
"""Told of each datagram that did not leave, with the reason."""


class PlainSocket:
    """A `PacketIO` that makes one system call for each datagram.

    `lost` is told of each that left and then met an ICMP error, once the next call brings that.
    """

    def __init__(
        self, sock: socket.socket, slots: Slots, failed: Failed, lost: Callable[[Lost], None]
    ) -> None:
        self.sock = sock
        self.slots = slots
        """Where datagrams are received. Its owner may give it others between two batches."""
        self._failed = failed
        self.errors = SoftErrors(sock, lost)

    @property
    def batch_size(self) -> int:
        return self.slots.batch_size

    def receive(self) -> Batch:
        slots = self.slots
        receive, room, frames = self.sock.recv_into, slots.room, list[memoryview]()
        try:
            for whole, place in slots.places:
                frames.append(whole[: receive(place) + room])
        except BlockingIOError:
            if not frames:  # what then made it readable is an error, told or not
                self.errors.drain()
            return Batch(frames, is_last=True)
        except OSError as error:
            self.errors.came(error)
        return Batch(frames, is_last=False)

    def send(self, frames: Sequence[bytes | memoryview]) -> int:
        send, sent = self.sock.send, 0
        for frame in frames:
            try:
                send(frame)
            except OSError as error:
                sent += self._sent_again(frame, error)
            else:
                sent += 1
        return sent

    def _sent_again(self, frame: bytes | memoryview, error: OSError) -> bool:
        own = self.errors.again(lambda: self.sock.send(frame), error, frame)
        if own is not None:
            self._failed(own, frame)
        return own is None


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
            self.sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        elif self.is_wildcard:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def receive(self, slots: Slots) -> tuple[list[Received], bool]:
        """A batch, and whether nothing was left to be read. Errors are no news: hardly any reach an unconnected socket."""
        receive_into, room, received = self.receive_into, slots.room, list[Received]()
        for whole, place in slots.places:
            try:
                length, source, local = receive_into(place)
            except BlockingIOError:
                return received, True
            except OSError as error:
                log.debug("UDP: %s", error)
                continue
            received.append((whole[: length + room], source, local))
        return received, False

    def receive_into(self, view: memoryview) -> tuple[int, tuple[str, int], Local]:
        """One datagram: its length, source and the address it was sent to. Raises what `recvmsg` raises."""
        if not self.is_wildcard:
            length, source = self.sock.recvfrom_into(view)
            return length, source, None
        length, ancillary, _, source = self.sock.recvmsg_into([view], _ANCILLARY)
        local: Local = None
        for level, kind, data in ancillary:
            if (level, kind) in _PKTINFO_KINDS:
                if data != self._asked[0]:
                    self._asked = (data, self._address_in(data))
                local = self._asked[1]
        return length, source, local

    def answer(self, data: memoryview | bytes, destination: tuple[str, int], local: Local) -> None:
        """Send from the address `local`. Raises what `sendmsg` raises."""
        if local is None:
            self.sock.sendto(data, destination)
        else:
            self.sock.sendmsg([data], [self._sent_from(local)], 0, destination)

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
    host = address[0].partition("%")[0]
    return Endpoint(str(ipaddress.ip_address(host)), address[1])


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
