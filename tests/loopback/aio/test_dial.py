"""Racing for a connection, among addresses that answer, refuse, or stay silent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from nat_traversal.aio.dial import AddressMemory, dial
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.wire.endpoint import Endpoint
from tests.loopback.support import unused

A, B, C = (Endpoint(f"127.0.0.{last}", 1000) for last in (5, 6, 7))


class Short(asyncio.Protocol):
    """Ends its connection as soon as it stands."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@pytest.fixture
async def listening() -> AsyncIterator[Endpoint]:
    server = await asyncio.get_running_loop().create_server(Short, "127.0.0.1", 0)
    async with server:
        yield endpoint_of(server.sockets[0].getsockname())


@pytest.fixture
async def silent() -> AsyncIterator[Endpoint]:
    """An address whose queue of connections is full: a SYN is dropped there, as by a firewall."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            yield endpoint_of(address)
        finally:
            for each in waiting:
                each.close()


async def test_a_silent_address_does_not_keep_the_next_one_waiting(
    listening: Endpoint, silent: Endpoint
) -> None:
    async with asyncio.timeout(20):
        protocol, address = await dial([silent, listening], Short, delay=0.01)
    assert address == listening
    assert isinstance(protocol, Short)


async def test_a_refusal_makes_way_at_once(listening: Endpoint) -> None:
    async with asyncio.timeout(20):
        _, address = await dial([unused(), listening], Short, delay=1000)
    assert address == listening


async def test_all_refused_is_the_first_error() -> None:
    with pytest.raises(ConnectionRefusedError):
        await dial([unused(), unused()], Short)


async def test_a_cancelled_race_leaves_no_socket(silent: Endpoint) -> None:
    racing = asyncio.create_task(dial([silent, silent], Short, delay=0.001))
    await asyncio.sleep(0.01)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing


def test_what_worked_comes_first_and_what_failed_last() -> None:
    memory = AddressMemory()
    assert memory.order([A, B, C]) == [A, B, C]
    memory.failed(A)
    assert memory.order([A, B, C]) == [B, C, A]
    memory.failed(B)
    assert memory.order([A, B, C]) == [C, A, B]
    memory.worked(B)
    assert memory.order([A, B, C]) == [B, C, A]
    memory.failed(B)
    assert memory.order([A, B, C]) == [C, A, B]
