"""TCP connections to one of several addresses: they race (RFC 8305), and what worked is remembered."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import TypeVar

from nat_traversal.client.control_link import OR_CORRECT
from nat_traversal.machine.failures import in_words, lacks_room
from nat_traversal.wire.endpoint import Endpoint

ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried beside those that have not answered (RFC 8305 section 5)."""

_NO_WAY = "see whether this host is online, or give --server an address of the other IP version"
_REMEDIES = {
    errno.ECONNREFUSED: f"start the server there{OR_CORRECT}",
    errno.ETIMEDOUT: f"see whether that host is online and its firewall lets TCP in{OR_CORRECT}",
    errno.ENETUNREACH: _NO_WAY,
    errno.EHOSTUNREACH: _NO_WAY,
    errno.EADDRNOTAVAIL: _NO_WAY,
    errno.EACCES: "let this host's firewall allow it",
    errno.EPERM: "let this host's firewall allow it",
}

P = TypeVar("P", bound=asyncio.BaseProtocol)


class AddressMemory:
    """Which address to try first: one that worked, then those never tried, then those that failed, the
    one that failed longest ago first. So no search begins at the same dead address again."""

    def __init__(self) -> None:
        self._worked: Endpoint | None = None
        self._failed: dict[Endpoint, None] = {}

    def order(self, addresses: Iterable[Endpoint]) -> list[Endpoint]:
        """`addresses` as they should be tried; equally good ones keep their order."""
        failed = list(self._failed)

        def rank(address: Endpoint) -> tuple[int, int]:
            if address == self._worked:
                return 0, 0
            return (2, failed.index(address)) if address in self._failed else (1, 0)

        return sorted(addresses, key=rank)

    def worked(self, address: Endpoint) -> None:
        """The server there answered a registration."""
        self._worked = address
        self._failed.pop(address, None)

    def failed(self, address: Endpoint) -> None:
        """It did not, or the connection to it broke before it did."""
        self._failed.pop(address, None)
        self._failed[address] = None
        if address == self._worked:
            self._worked = None


async def dial(
    addresses: list[Endpoint], protocol: Callable[[], P], *, delay: float = ATTEMPT_DELAY
) -> tuple[P, Endpoint]:
    """The protocol and address of the first connection that stands, as `connected` has it."""
    sock, address = await connected(addresses, delay=delay)
    _, made = await asyncio.get_running_loop().create_connection(protocol, sock=sock)
    return made, address


async def connected(
    addresses: list[Endpoint], *, delay: float = ATTEMPT_DELAY
) -> tuple[socket.socket, Endpoint]:
    """The socket and address of the first connection that stands. `addresses` has at least one.

    Each address is tried `delay` seconds after the one before, or at once when that fails. The others
    are closed. Raises the `OSError` of the address that failed first, if all do.
    """
    loop = asyncio.get_running_loop()
    tries: dict[asyncio.Task[socket.socket], Endpoint] = {}
    ahead = list(addresses)
    first_error: OSError | None = None
    first: socket.socket | None = None
    try:
        while ahead or tries:
            if ahead:
                address = ahead.pop(0)
                tries[loop.create_task(_connected(address))] = address
            done, _ = await asyncio.wait(
                tries, timeout=delay if ahead else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                address = tries.pop(task)
                error = task.exception()
                if error is None:
                    first = task.result()
                    return first, address
                if not isinstance(error, OSError):
                    raise error
                first_error = first_error or error
    finally:
        for task in tries:
            task.cancel()
        try:
            others = await asyncio.gather(*tries, return_exceptions=True)
        except asyncio.CancelledError:
            if first is not None:
                first.close()
            raise
        for outcome in others:
            if isinstance(outcome, socket.socket):
                outcome.close()
    assert first_error is not None, "no address was given"
    raise first_error


def failure(error: OSError) -> str:
    """Why a connection could not be made, in words: asyncio's own text shows a Python tuple."""
    own = os.strerror(error.errno) if error.errno else str(error)
    return in_words(error) if lacks_room(error) else own


def unreached(error: OSError) -> str:
    """The change that would mend it, a clause; empty: this knows of none."""
    return _REMEDIES.get(error.errno or 0, "")


async def _connected(address: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if address.family == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock
