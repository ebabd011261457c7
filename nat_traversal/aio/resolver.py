"""Names to addresses, without a hold on the end of the program."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial

from nat_traversal.aio.packet_io import FAMILIES
from nat_traversal.errors import NameUnresolvedError
from nat_traversal.wire.endpoint import Endpoint, HostPort

_KNOWN_TO_BE_NONE = {
    getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
}
"""The answers of a resolver that found out. After all others nobody knows."""


async def resolve(name: HostPort, *, families: Sequence[int] = (4, 6)) -> list[Endpoint]:
    """The addresses of `name` in these IP versions, IPv4 first: most services that listen on one listen on that.

    Raises `NameUnresolvedError`. Asks in a daemon thread. Asyncio's own resolver uses threads whose end
    the program awaits before it ends itself, which with a silent name server takes many seconds.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Endpoint]] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        if not answer.done():
            outcome()

    def ask() -> None:
        outcome: Callable[[], None]
        try:
            outcome = partial(answer.set_result, _look_up(name, families))
        except Exception as error:  # noqa: BLE001 - else its asker would wait for ever
            outcome = partial(answer.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended without waiting
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=ask, name=f"resolve {name.host}", daemon=True).start()
    return await answer


def _look_up(name: HostPort, families: Sequence[int]) -> list[Endpoint]:
    family = FAMILIES[families[0]] if len(families) == 1 else socket.AF_UNSPEC
    try:
        found = socket.getaddrinfo(name.host, name.port, family, socket.SOCK_DGRAM)
    except OSError as error:
        raise _unresolved(name, families, error) from error
    # A link-local address is of no use without its zone.
    addresses = (str(sockaddr[0]) for *_, sockaddr in found)
    endpoints = dict.fromkeys(Endpoint(address, name.port) for address in addresses)
    return sorted(endpoints, key=lambda endpoint: endpoint.family)


def _unresolved(name: HostPort, families: Sequence[int], error: OSError) -> NameUnresolvedError:
    host = name.host
    if error.errno not in _KNOWN_TO_BE_NONE:
        text = f"the name {host!r} cannot be looked up now ({error.strerror}): is this host online?"
        return NameUnresolvedError(text, is_temporary=True)
    if len(families) == 1:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(host, name.port, socket.AF_UNSPEC, socket.SOCK_DGRAM)
            lacks = f"IPv{families[0]}"
            other = "IPv4" if families[0] == 6 else "IPv6"
            text = f"the name {host!r} has no {lacks} address, only {other}"
            return NameUnresolvedError(text, is_temporary=False)
    zone = host.partition("%")[2]
    if zone:
        return NameUnresolvedError(f"this host has no interface {zone!r}", is_temporary=False)
    return NameUnresolvedError(f"there is no such name as {host!r}", is_temporary=False)
