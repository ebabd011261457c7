"""An end of a path moves and the path goes on: services hear of it, since what they measured of the way holds no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing

from nat_traversal import Endpoint
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from tests.loopback.aio.tcp_programs import a_connection, echoes
from tests.loopback.aio.tcp_sides import through
from tests.loopback.hosts import Host
from tests.loopback.support import eventually


class Attached:
    """A service that keeps the paths that it was given."""

    def __init__(self, host: Host) -> None:
        self.paths: list[DataPath | None] = []
        self.to: int | None = None
        self.flows = 0
        host.forwarder.add(9, self, listens=False)

    def attach(self, path: DataPath | None) -> None:
        self.paths.append(path)

    def deliver(self, number: int, payloads: Sequence[memoryview]) -> None: ...

    def expire(self, before: float) -> None: ...

    def leave(self) -> None: ...

    def close(self) -> None: ...


async def test_where_the_peer_has_moved() -> None:
    loop = asyncio.get_running_loop()
    async with through() as (a, b), a_connection(a.tcp_port("web")) as connection:
        await echoes(*connection)
        attached, path = Attached(a), a.path
        loop.remove_reader(b.socket.sock)
        with closing(open_udp(Endpoint("127.0.0.1", 0))) as new:
            b.path.use_socket(new)
            loop.add_reader(new, b.path.readable)
            await echoes(*connection)
            roamed = await a.notices.wait(note.PeerRoamed)
            assert roamed.remote.port == new.getsockname()[1]
            assert attached.paths == [path, path]
            await echoes(*connection)
            loop.remove_reader(new)


async def test_where_this_host_has_moved() -> None:
    async with through() as (a, _), a_connection(a.tcp_port("web")) as connection:
        await echoes(*connection)
        attached, path = Attached(a), a.path
        a.client.feed(e.NetworkChanged(frozenset({path.order.generation})))
        await eventually(lambda: len(attached.paths) > 1, "the service is told")
        assert attached.paths[:2] == [path, path]
        await echoes(*connection)
