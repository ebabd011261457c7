"""Two programs that `nat_traversal.connect` connects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from nat_traversal import (
    Connection,
    ConnectionLostError,
    Endpoint,
    NatTraversalError,
    connect,
)
from nat_traversal.settings import ClientSettings
from tests.loopback.hosts import a_server
from tests.loopback.support import DEADLINE

if TYPE_CHECKING:
    pass


@dataclass
class Ends:
    """Two connected programs, of which the second may leave."""

    a: Connection
    b: Connection
    leave_b: Callable[[], Awaitable[None]]


@asynccontextmanager
async def two_ends(settings: ClientSettings | None = None) -> AsyncIterator[Ends]:
    async with a_server() as (server, _), AsyncExitStack() as left, AsyncExitStack() as right:
        where = str(server.endpoint)
        a, b = await asyncio.gather(
            left.enter_async_context(
                connect(where, local_id="host_a", remote_id="host_b", settings=settings)
            ),
            right.enter_async_context(
                connect(where, local_id="host_b", remote_id="host_a", settings=settings)
            ),
        )
        yield Ends(a, b, right.aclose)


async def received(connection: Connection) -> bytes:
    async with asyncio.timeout(DEADLINE):
        return await connection.receive()


def has_ended(connection: Connection) -> bool:
    """Whether nothing can be sent any more."""
    try:
        connection.send(b"")
    except ConnectionLostError:
        return True
    return False


async def fails(server: Endpoint) -> NatTraversalError:
    """What `connect` raises for host_a, who wants host_b."""
    with pytest.raises(NatTraversalError) as raised:
        async with (
            asyncio.timeout(DEADLINE),
            connect(str(server), local_id="host_a", remote_id="host_b"),
        ):
            pass
    return raised.value
