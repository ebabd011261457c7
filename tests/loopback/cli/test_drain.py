"""A server that is asked to stop sends its clients away, and they come back to the next one."""

from __future__ import annotations

import signal

from nat_traversal import Endpoint, ServerSettings
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from tests.loopback.command import Command
from tests.loopback.hosts import Host
from tests.loopback.scripted import Wire, register
from tests.loopback.support import unused
from tests.unit.counterpart import some_keys

SERVER = ("python3", "traversal_server.py", "--json")


async def test_a_path_outlives_the_change_of_servers_and_the_clients_come_back_as_told() -> None:
    at = unused()
    words = (*SERVER, "--host", at.address, "--port", str(at.port))
    async with Command.run(*words) as server:
        await server.event("listening")
        async with (
            Host(at, "host_a", "host_b", listen="127.0.0.1") as a,
            Host(at, "host_b", "host_a", listen="127.0.0.1") as b,
        ):
            await a.connected()
            await b.connected()
            await server.event("pair-connected")
            assert await server.end(signal.SIGTERM) == 0
            told = [each["event"] for each in server.events[-4:]]
            assert told == ["draining", "host-left", "host-left", "stopped"]
            async with Command.run(*words) as following:
                for host in (a, b):
                    lost = await host.notices.wait(note.ServerLost)
                    assert lost.reason == "it ends, and asks this host to come back"
                    assert lost.retry_in is not None
                    assert 1.0 <= lost.retry_in <= 2.0
                    await host.notices.wait(note.RegisteredAtServer, 2)
                assert not a.notices.of(note.PathLost) + b.notices.of(note.PathLost)
                assert await following.end(signal.SIGTERM) == 0


async def test_an_attempt_holds_the_end_back_and_a_second_signal_does_not_wait() -> None:
    at = unused()
    words = (*SERVER, "--host", at.address, "--port", str(at.port))
    async with Command.run(*words) as server:
        await server.event("listening")
        async with await Wire.to(at) as a, await Wire.to(at) as b:
            a.send(register("host_a", "host_b"))
            b.send(register("host_b", "host_a", some_keys("b")[0]))
            await b.until(m.PeerStatus)
            server.process.send_signal(signal.SIGTERM)
            assert (await server.event("draining"))["attempts"] == 1
            await server.line(f"within {ServerSettings().drain_within:g} s; a second request ends")
            while await is_open(at):
                pass
            assert await server.end(signal.SIGTERM) == -signal.SIGTERM


async def is_open(server: Endpoint) -> bool:
    """Whether something takes connections there."""
    try:
        async with await Wire.to(server):
            return True
    except (ConnectionRefusedError, ConnectionResetError):  # the second: it closed just now
        return False
