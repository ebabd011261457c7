"""Non-blocking UDP sockets: opened in one way, and answering from the address that was asked."""

from __future__ import annotations

import errno
import ipaddress
import resource
import socket
import struct

from nat_traversal.errors import UsageError
from nat_traversal.machine.events import LocalAddress
from nat_traversal.wire.endpoint import Endpoint

SOCKET_BUFFER = 4 << 20
"""Octets asked of the kernel for each direction; it grants what ``net.core.rmem_max`` allows."""
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
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


def open_udp(host: str = "0.0.0.0", port: int = 0) -> socket.socket:  # noqa: S104
    """A non-blocking UDP socket bound to an IP address and port. Raises `UsageError` if it cannot be."""
    sock = socket.socket(family_of(host), socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise UsageError(bind_problem("UDP", host, port, error)) from error
    return sock


def family_of(host: str) -> socket.AddressFamily:
    """The family of an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind_problem(transport: str, host: str, port: int, error: OSError) -> str:
    """Why a port cannot be had, and what to do."""
    remedy = {
        errno.EADDRINUSE: "another program has it: stop that, or choose another port",
        errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "this host has no such address",
    }.get(error.errno or 0, error.strerror or str(error))
    return f"cannot use {transport} {host}:{port}: {remedy}"


class AnsweringSocket:
    """A UDP socket for serving: on a wildcard address it remembers where each datagram was sent to."""

    def __init__(self, host: str, port: int) -> None:
        self.sock = open_udp(host, port)
        self._wildcard = self.sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104
        self._family = self.sock.family
        self._asked: tuple[bytes, Local] = (b"", None)
        """The last ancillary data and what it says: most datagrams are sent to one address."""
        if self._wildcard and self._family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        elif self._wildcard:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.sock.getsockname())

    def receive_into(self, view: memoryview) -> tuple[int, tuple[str, int], Local]:
        """One datagram: its length, source and the address it was sent to. Raises what `recvmsg` raises."""
        if not self._wildcard:
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
