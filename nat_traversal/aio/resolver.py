"""Names to addresses, without a hold on the end of the program."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial

from nat_traversal.aio.packet_io import FAMILIES
from nat_traversal.wire.endpoint import Endpoint, HostPort


async def resolve(name: HostPort, *, families: Sequence[int] = (4, 6)) -> list[Endpoint]:
    """The addresses of `name` in these IP versions, IPv4 first: most services that listen on one listen on that.

    Raises `socket.gaierror`. Asks in a daemon thread. Asyncio's own resolver uses threads whose end
    the program awaits before it ends itself, which with a silent name server takes many seconds.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Endpoint]] = loop.create_future()

    family = FAMILIES[families[0]] if len(families) == 1 else socket.AF_UNSPEC

    def settle(outcome: Callable[[], None]) -> None:
        if not answer.done():
            outcome()

    def ask() -> None:
        outcome: Callable[[], None]
        try:
            found = socket.getaddrinfo(name.host, name.port, family, socket.SOCK_DGRAM)
        except Exception as error:  # noqa: BLE001 - else its asker would wait for ever
            outcome = partial(answer.set_exception, error)
        else:
            addresses = (str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found)
            endpoints = dict.fromkeys(Endpoint(address, name.port) for address in addresses)
            by_family = sorted(endpoints, key=lambda endpoint: endpoint.family)
            outcome = partial(answer.set_result, by_family)
        with contextlib.suppress(RuntimeError):  # the loop has ended without waiting
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=ask, name=f"resolve {name.host}", daemon=True).start()
    return await answer
