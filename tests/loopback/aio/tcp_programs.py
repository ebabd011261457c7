"""Programs that speak TCP: services that answer in some way, and connections to them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from nat_traversal import Endpoint
from tests.loopback.support import DEADLINE

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say again what comes, until the other end says no more."""
    while octets := await reader.read(65_536):
        writer.write(octets)
        await writer.drain()
    writer.write_eof()


@asynccontextmanager
async def a_tcp_service(
    conversation: Conversation = echo, at: Endpoint | None = None
) -> AsyncIterator[Endpoint]:
    """One that has that conversation with each program, at any port or at that one. A `ConnectionError` of its resets."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            await conversation(reader, writer)
        except ConnectionError:
            reset(writer)
        await closed(writer)

    serving: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(
        served, *(at.sockaddr if at else ("127.0.0.1", 0)), backlog=1024
    )
    try:
        yield Endpoint(*server.sockets[0].getsockname())
    finally:
        server.close()
        await asyncio.gather(*filter(None, serving))


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off."""
    if writer.transport.is_closing():  # the other end was faster
        return
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def closed(writer: asyncio.StreamWriter) -> None:
    """Say all, and close."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def a_connection(
    to: Endpoint,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One that is closed in the end."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(*to.sockaddr)
        try:
            yield reader, writer
        finally:
            await closed(writer)


async def asked(octets: bytes, to: Endpoint) -> bytes:
    """The whole answer to `octets`, after which this end says no more."""
    async with a_connection(to) as (reader, writer):
        writer.write(octets)
        writer.write_eof()
        return await reader.read()


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The connection carries octets to and fro."""
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
