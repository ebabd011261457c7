"""Errors that a UDP socket tells late: which datagram each belongs to, so that it costs no other one.

The kernel tells the ICMP error about one datagram to the next call on the socket, whatever that
was for. So a send that fails is tried again. Linux also keeps each error with the octets that it is about
(IP_RECVERR, ip(7)): those are the datagrams to count as lost.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from nat_traversal.aio.features import set_linux_option

SOFT = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EMSGSIZE,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        getattr(errno, "ENONET", errno.EHOSTUNREACH),  # Linux alone has it
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPROTO,
        errno.EACCES,
        errno.EPERM,
    }
)
"""The errors that ICMP becomes (icmp_err_convert of Linux, icmpv6_err_convert), and what a firewall of this host says."""
TRIES = 4
"""Of one datagram: a new ICMP error may come between two of them."""
IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE = 11, 25, 0x2000
_KINDS = {(socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)}
_EXTENDED = struct.Struct("=IBBBBII")
"""sock_extended_err: errno, origin, type, code, padding, info, data; the sender's address follows."""
_ICMP = {2, 3}
"""The origins SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6. Others are this host's own words, which the failed
call has had already."""
_FORBIDDEN = {(2, 3, 9), (2, 3, 10), (2, 3, 13), (3, 1, 1), (3, 1, 5)}
"""Origin, ICMP type and code of "administratively prohibited" (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1)."""
_EXPIRED = {(2, 11, 0), (3, 3, 0)}
"""The same of "time to live exceeded in transit", which IPv6 calls the hop limit (RFC 792, RFC 4443 section 3.3)."""
_ANCILLARY = socket.CMSG_SPACE(_EXTENDED.size + 28) * 2
_QUOTED = 1500
_MOST = 1024
"""Errors read at once: the queue's memory is bounded, this bounds the time."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A datagram that was sent, and is lost, as ICMP says."""

    error: int
    """An errno."""
    teller: str = ""
    """The address of the host that sent the ICMP error; empty where unknown."""
    start: bytes = b""
    """The first octets of the datagram as far as the error quotes them: often none."""
    carries: int = 0
    """Octets of the longest IP packet that the next link carries, for EMSGSIZE."""
    is_forbidden: bool = False
    """A firewall says so."""
    is_expired: bool = False
    """It has come to that router, and might go no further."""
    count: int = 1
    """How many datagrams: one error may be about a run of them."""

    def __str__(self) -> str:
        text = "forbidden by a firewall" if self.is_forbidden else os.strerror(self.error)
        if self.carries:
            text += f": the longest IP packet there has {self.carries} octets"
        return f"{text}, says {self.teller}" if self.teller else text


def not_sent(error: OSError, octets: int) -> str:
    """Why a datagram of so many octets did not leave this host."""
    if error.errno == errno.EPERM:
        return "a firewall of this host forbids it"
    text = error.strerror or str(error)
    return f"{text} ({octets} octets)" if error.errno == errno.EMSGSIZE else text


class SoftErrors:
    """The late errors of one socket. `lost` is told of each earlier datagram that they are about.

    `queued`: have the kernel keep them. It then tells them to an unconnected socket too.
    """

    def __init__(
        self, sock: socket.socket, lost: Callable[[Lost], None], *, queued: bool = True
    ) -> None:
        self._sock = sock
        self._lost = lost
        self.has_queue = False
        """The kernel keeps each error, with the datagram that it is about."""
        if not queued:
            return
        is_ipv6 = sock.family == socket.AF_INET6
        level, option = (
            (socket.IPPROTO_IPV6, IPV6_RECVERR) if is_ipv6 else (socket.IPPROTO_IP, IP_RECVERR)
        )
        try:
            set_linux_option(sock, level, option, 1)
        except OSError:  # not Linux: only the failing calls tell
            pass
        else:
            self.has_queue = True

    def came(self, error: OSError) -> None:
        """A receive has failed: it told of an earlier datagram."""
        if not self.drain():
            self._lost(Lost(error.errno or 0))

    def drain(self) -> bool:
        """Tell of what ICMP has told so far; whether there was anything. A socket counts as readable
        until this is done."""
        earlier = self._queued()
        for each in earlier:
            self._lost(each)
        return bool(earlier)

    def again(
        self, send: Callable[[], object], error: OSError, datagram: bytes | memoryview
    ) -> OSError | None:
        """`send` has raised `error`: try again as long as that may have been about an earlier datagram.
        None: it is sent. Otherwise the error that `datagram` itself has met."""
        for _ in range(TRIES):
            if error.errno not in SOFT:
                return error
            earlier = [each for each in self._queued() if not _is_own(each, error, datagram)]
            for each in earlier:
                self._lost(each)
            try:
                send()
            except OSError as second:
                if not earlier and second.errno == error.errno != errno.ECONNREFUSED:
                    self._forget(second, datagram)
                    return second
                if not earlier:
                    self._lost(Lost(error.errno or 0))
                error = second
            else:
                if not earlier:
                    self._lost(Lost(error.errno or 0))
                return None
        return error

    def _forget(self, error: OSError, datagram: bytes | memoryview) -> None:
        """Drop the echo of an error that the call itself has told."""
        for each in self._queued():
            if not _is_own(each, error, datagram):
                self._lost(each)

    def _queued(self) -> list[Lost]:
        """The errors that wait, the oldest first."""
        found: list[Lost] = []
        if not self.has_queue:
            return found
        for _ in range(_MOST):
            try:
                start, ancillary, _, _ = self._sock.recvmsg(_QUOTED, _ANCILLARY, MSG_ERRQUEUE)
            except OSError:  # BlockingIOError: no more
                return found
            for level, kind, data in ancillary:
                if (level, kind) in _KINDS and len(data) >= _EXTENDED.size:
                    number, origin, type_, code, _, info, _ = _EXTENDED.unpack_from(data)
                    if origin in _ICMP:
                        carries = info if number == errno.EMSGSIZE else 0
                        is_forbidden = (origin, type_, code) in _FORBIDDEN
                        is_expired = (origin, type_, code) in _EXPIRED
                        teller = _teller(data[_EXTENDED.size :])
                        lost = Lost(number, teller, start, carries, is_forbidden, is_expired)
                        found.append(lost)
        return found


def _is_own(lost: Lost, error: OSError, datagram: bytes | memoryview) -> bool:
    """Whether a firewall of this host has refused `datagram` in both ways: by the call, and by ICMP."""
    if error.errno != errno.EPERM or not lost.start:
        return False
    return bytes(datagram[: len(lost.start)]) == lost.start


def _teller(sockaddr: bytes) -> str:
    """The address in a sockaddr_in or sockaddr_in6."""
    if len(sockaddr) < 8:
        return ""
    (family,) = struct.unpack_from("=H", sockaddr)
    if family == socket.AF_INET:
        return socket.inet_ntop(family, sockaddr[4:8])
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        return socket.inet_ntop(family, sockaddr[8:24])
    return ""
