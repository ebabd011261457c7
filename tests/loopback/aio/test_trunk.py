"""Several clients of one process on one control connection, by real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from nat_traversal import Server, ServerSettings
from nat_traversal.aio.trunk import Trunk
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.messages import PeerState
from tests.loopback.hosts import Host, Notices, a_server
from tests.loopback.support import eventually

FRIENDS = ("anna", "ben", "carl")
QUICK = ClientSettings(reconnect_first=0.01)


@dataclass
class Hub:
    """One Host for each friend, all on `trunk`, and the friends."""

    server: Server
    notices: Notices
    trunk: Trunk
    here: dict[str, Host]
    there: dict[str, Host]
    stacks: dict[str, AsyncExitStack]

    async def leave(self, name: str) -> None:
        """End the hub's client for that friend."""
        await self.stacks[name].aclose()

    @property
    def connections(self) -> int:
        """Of the hub at the server."""
        return len(self.server.connections) - len(self.there)


@asynccontextmanager
async def a_hub(settings: ServerSettings | None = None) -> AsyncIterator[Hub]:
    trunk = Trunk()
    async with a_server(settings=settings) as (server, notices), AsyncExitStack() as stack:
        hub = Hub(server, notices, trunk, {}, {}, {})
        for name in FRIENDS:
            here = Host(server.endpoint, "hub", name, settings=QUICK, trunk=trunk)
            there = Host(server.endpoint, name, "hub", settings=QUICK)
            hub.stacks[name] = await stack.enter_async_context(AsyncExitStack())
            hub.here[name] = await hub.stacks[name].enter_async_context(here)
            hub.there[name] = await stack.enter_async_context(there)
        yield hub


async def connected(hub: Hub) -> None:
    for host in (*hub.here.values(), *hub.there.values()):
        await host.connected()


async def left(host: Host) -> None:
    away = note.PeerSeen("hub", PeerState.LEFT)
    await eventually(lambda: away in host.notices, "the server says that hub has left")


async def test_all_peers_of_an_id_meet_over_one_connection() -> None:
    async with a_hub() as hub:
        await connected(hub)
        assert (hub.connections, hub.trunk.connections) == (1, 1)
        assert hub.server.rendezvous.registered == {"hub", *FRIENDS}
        paths = [await host.connected() for host in hub.here.values()]
        assert {path.method for path in paths} == {"ordered-hello"}


async def test_the_first_that_leaves_takes_nobody_with_it_and_the_last_the_connection() -> None:
    async with a_hub() as hub:
        await connected(hub)
        await hub.leave("anna")
        await left(hub.there["anna"])
        assert hub.connections == 1
        await hub.leave("ben")
        await left(hub.there["ben"])
        assert hub.connections == 1
        assert not hub.there["carl"].notices.of(note.PathLost)
        await hub.leave("carl")
        await left(hub.there["carl"])
        assert (hub.connections, hub.trunk.connections) == (0, 0)


async def test_a_connection_that_breaks_comes_back_as_one_and_no_path_is_lost() -> None:
    async with a_hub() as hub:
        await connected(hub)
        control = hub.here["ben"].client.control
        assert control is not None
        control.transport.abort()
        for host in hub.here.values():
            await host.notices.wait(note.ServerLost)
            await host.notices.wait(note.RegisteredAtServer, 2)
        assert (hub.connections, hub.trunk.connections) == (1, 1)
        everyone = [*hub.here.values(), *hub.there.values()]
        assert not [each for host in everyone for each in host.notices.of(note.PathLost)]


async def test_a_peer_that_comes_later_uses_the_connection_that_stands() -> None:
    async with a_hub() as hub:
        await connected(hub)
        late = Host(hub.server.endpoint, "hub", "dora", trunk=hub.trunk)
        async with late, Host(hub.server.endpoint, "dora", "hub") as dora:
            await late.connected()
            await dora.connected()
            assert len(hub.server.connections) == 1 + len(FRIENDS) + 1


async def test_ids_that_differ_share_a_connection_too_and_a_full_one_gets_a_second() -> None:
    trunk = Trunk()
    async with a_server(settings=ServerSettings(pairs=2)) as (server, _), AsyncExitStack() as stack:
        for name in FRIENDS:
            host = Host(server.endpoint, f"hub-{name}", name, trunk=trunk)
            await stack.enter_async_context(host)
            await host.notices.wait(note.RegisteredAtServer)
        assert (len(server.connections), trunk.connections) == (2, 2)
