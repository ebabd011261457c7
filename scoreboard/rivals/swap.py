"""Signalling for rivals that leave it to the application: each line of one peer goes to the other.

On the server:    python swap.py PORT

A peer connects, says a line, and gets the other's when both have come. Then it may come again, with a new
line. One that comes again before the other takes the place of its earlier line.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable

Waiting = dict[str, tuple[bytes, asyncio.StreamWriter]]


async def swap(port: int) -> None:
    """Serve until ended."""
    waiting: Waiting = {}

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        role, other = ("a", "b") if line.startswith(b"a ") else ("b", "a")
        earlier = waiting.pop(role, None)
        if earlier is not None:
            earlier[1].close()
        waiting[role] = line[2:], writer
        if other in waiting:
            mine, theirs = waiting.pop(role), waiting.pop(other)
            mine[1].write(theirs[0])
            theirs[1].write(mine[0])
            await _ended(mine[1].drain(), theirs[1].drain())
            mine[1].close()
            theirs[1].close()

    server = await asyncio.start_server(meet, "0.0.0.0", port, limit=1 << 20)  # noqa: S104 - the lab's own network
    async with server:
        await server.serve_forever()


async def _ended(*works: Awaitable[None]) -> None:
    await asyncio.gather(*works, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(swap(int(sys.argv[1])))
