"""aioice (RFC 8445) as a bridge: datagrams come in at 127.0.0.1:5300 on a, and go out to 127.0.0.1:7000 on b.

    python aioice_peer.py a|b SERVER

STUN and TURN are on SERVER's port 3478, signalling on its port 8080. aioice opens one session; whoever
uses it opens another when that ends, and so does this.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

import aioice

TURN_PORT, SWAP_PORT = 3478, 8080


class Local(asyncio.DatagramProtocol):
    """The socket towards programs on this host."""

    def __init__(self, role: str) -> None:
        self.peer: tuple[str, int] | None = None if role == "a" else ("127.0.0.1", 7000)
        self.ice: aioice.Connection | None = None
        self.sending: set[asyncio.Task[None]] = set()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.peer = address
        if self.ice is not None:
            task = asyncio.create_task(self._send(self.ice, data))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)

    async def _send(self, ice: aioice.Connection, data: bytes) -> None:
        try:
            await ice.send(data)
        except ConnectionError:
            self.ice = None

    def give(self, data: bytes) -> None:
        if self.peer is not None:
            self.transport.sendto(data, self.peer)


async def swap(server: str, role: str, own: Mapping[str, object]) -> Any:
    """The other peer's line for ours."""
    reader, writer = await asyncio.open_connection(server, SWAP_PORT, limit=1 << 20)
    writer.write(f"{role} {json.dumps(own)}\n".encode())
    try:
        return json.loads(await reader.readline())
    finally:
        writer.close()


async def session(role: str, server: str, local: Local) -> None:
    """Connect, and carry datagrams until the connection ends. Raises `OSError`, `ValueError`."""
    ice = aioice.Connection(
        ice_controlling=role == "a",
        stun_server=(server, TURN_PORT),
        turn_server=(server, TURN_PORT),
        turn_username="lab",
        turn_password="secret",  # noqa: S106
        use_ipv6=False,
    )
    try:
        await ice.gather_candidates()
        own = {
            "username": ice.local_username,
            "password": ice.local_password,
            "candidates": [candidate.to_sdp() for candidate in ice.local_candidates],
        }
        other = await swap(server, role, own)
        ice.remote_username, ice.remote_password = other["username"], other["password"]
        for text in other["candidates"]:
            await ice.add_remote_candidate(aioice.Candidate.from_sdp(text))
        await ice.add_remote_candidate(None)
        await ice.connect()
        print("connected", flush=True)
        local.ice = ice
        while True:
            local.give(await ice.recv())
    finally:
        local.ice = None
        await ice.close()


async def run(role: str, server: str) -> None:
    """Sessions, one after the other."""
    at = ("127.0.0.1", 5300 if role == "a" else 5301)
    _, local = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Local(role), local_addr=at
    )
    while True:
        try:
            await session(role, server, local)
        except (OSError, ValueError, aioice.stun.TransactionError) as error:
            print(f"session ended: {error!r}", flush=True)
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
