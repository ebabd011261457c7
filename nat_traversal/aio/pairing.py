"""The exchange of keys, over a connection of the API."""

from __future__ import annotations

import asyncio
import contextlib

from nat_traversal.aio.connection import Connection
from nat_traversal.errors import ConnectionLostError
from nat_traversal.pairing.exchange import REPEAT, Exchange

LAST_WORDS = 3
"""Copies of the message that says one is done. If all are lost, the end of the path says the same."""


async def exchange_keys(connection: Connection, exchange: Exchange) -> bytes:
    """The peer's public key: 32 octets.

    Raises `UsageError` if it is not the invited one, `ConnectionLostError` if the path ends before it came.
    """

    async def take() -> None:
        async for datagram in connection:
            exchange.receive(datagram)
            if exchange.done:
                return

    def say() -> None:
        with contextlib.suppress(ConnectionLostError):  # `take` ends then
            connection.send(exchange.message())

    taking = asyncio.ensure_future(take())
    try:
        while not taking.done():
            say()
            await asyncio.wait([taking], timeout=REPEAT)
        taking.result()
    finally:
        taking.cancel()
    if exchange.peer is None:
        raise ConnectionLostError("the path ended before the keys were exchanged")
    for _ in range(LAST_WORDS):
        say()
    return exchange.peer
