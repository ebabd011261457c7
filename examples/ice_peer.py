"""One ICE peer (RFC 8445) made with aioice, for `ice.py`: connects, says who it is, prints what it hears.

On the server, to swap the peers' lines:    python ice_peer.py signal PORT
On a host, with STUN and TURN on SERVER:    python ice_peer.py peer NAME SERVER PORT a|b stun|turn [talk]

With `talk` it goes on, ten times a second, until it is ended.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

import aioice


async def signal(port: int) -> None:
    """The smallest signalling server: two lines come in, and each goes to the other's sender."""
    lines = [asyncio.get_running_loop().create_future() for _ in range(2)]
    free = iter((0, 1))

    async def swap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = next(free)
        lines[mine].set_result(await reader.readline())
        writer.write(await lines[1 - mine])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(swap, "0.0.0.0", port)  # noqa: S104 - the lab's own network
    async with server:
        await server.serve_forever()


async def talk(ice: aioice.Connection, name: str) -> None:
    """Say a number ten times a second, and print what the other says."""

    async def count() -> None:
        for number in itertools.count():
            await ice.send(f"{name} says {number}".encode())
            await asyncio.sleep(0.1)

    counting = asyncio.create_task(count())
    while not counting.done():
        print((await ice.recv()).decode(), flush=True)


async def peer(
    name: str, server: str, port: int, controlling: bool, relay: bool, *, talks: bool
) -> None:
    aioice.stun.RETRY_MAX = 3  # a check without an answer is given up after 7.5 s
    coturn = (server, 3478)
    ice = aioice.Connection(
        ice_controlling=controlling,
        stun_server=coturn,
        turn_server=coturn if relay else None,
        turn_username="lab",
        turn_password="secret",  # noqa: S106
        use_ipv6=False,
    )
    await ice.gather_candidates()
    own = {
        "username": ice.local_username,
        "password": ice.local_password,
        "candidates": [candidate.to_sdp() for candidate in ice.local_candidates],
    }
    reader, writer = await asyncio.open_connection(server, port)
    writer.write(json.dumps(own).encode() + b"\n")
    other = json.loads(await reader.readline())
    writer.close()
    ice.remote_username, ice.remote_password = other["username"], other["password"]
    for text in other["candidates"]:
        await ice.add_remote_candidate(aioice.Candidate.from_sdp(text))
    await ice.add_remote_candidate(None)
    try:
        await ice.connect()
    except ConnectionError as error:
        await ice.close()
        raise SystemExit(f"no path: {error}") from None
    await ice.send(f"this is {name}".encode())
    print((await ice.recv()).decode(), flush=True)
    if talks:
        await talk(ice, name)
    await ice.send(b"heard you")
    await ice.recv()
    await ice.close()


if __name__ == "__main__":
    if sys.argv[1] == "signal":
        asyncio.run(signal(int(sys.argv[2])))
    else:
        name, server, port, role, helper, *talks = sys.argv[2:]
        asyncio.run(peer(name, server, int(port), role == "a", helper == "turn", talks=bool(talks)))
