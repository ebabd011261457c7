"""A real client whose server lies: how many packets reach a victim's socket."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal import Endpoint
from nat_traversal.aio import program_ports
from nat_traversal.paths.budget import MOST_DATAGRAMS
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from tests.loopback.aio.clients import a_scripted_server
from tests.loopback.hosts import Host
from tests.loopback.programs import Program
from tests.loopback.scripted import ScriptedPeer, ScriptedServer
from tests.loopback.support import eventually

QUICK = ClientSettings(hello_interval=0.01)


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0", "::"])
async def test_no_hello_goes_to_the_port_where_the_client_takes_programs_datagrams(
    listen: str,
) -> None:
    """It would be one of them, and go to the peer; a path there would send each frame to itself."""
    async with (
        ScriptedServer.run() as server,
        Host(server.endpoint, "host_a", "host_b", listen=listen, settings=QUICK) as host,
    ):
        wire = await server.client()
        with Program("127.0.0.9") as peer:
            own = m.Candidate("host", Endpoint("127.0.0.1", host.port.port))
            there = m.Candidate("srflx", Endpoint(*peer.sock.getsockname()), validated=True)
            start = replace(ScriptedPeer(wire, peer).start(m.Role.A), candidates=(there, own))
            wire.send(start, m.SendHello(1, start.attempt, start.round, 1))
            for _ in range(3):
                assert (await peer.receive())[0].startswith(b"HELLO")
            openers = replace(start, method="low-ttl", round=2, candidates=(own, there))
            wire.send(m.OpenSocket(2))
            await wire.until(m.SocketOpened)
            wire.send(openers, m.SendHello(2, start.attempt, 2, 0))
            await wire.until(m.HelloSent)
        assert host.problems == [], "a datagram came there"


@pytest.mark.parametrize(
    ("at", "to", "is_own"),
    [
        ("127.0.0.5", "127.0.0.5", True),
        ("127.0.0.5", "127.0.0.6", False),
        ("0.0.0.0", "127.0.0.6", True),
        ("0.0.0.0", "192.0.2.1", False),
        ("0.0.0.0", "::1", False),
        ("::", "::1", True),
        ("::", "127.0.0.6", True),
    ],
)
def test_a_port_for_programs_is_this_hosts_alone_and_only_while_it_is_open(
    at: str, to: str, *, is_own: bool
) -> None:
    listening, remote = Endpoint(at, 16_600), Endpoint(to, 16_600)
    program_ports.begun(listening)
    assert program_ports.has(remote) == is_own
    assert not program_ports.has(replace(remote, port=16_601))
    program_ports.ended(listening)
    assert not program_ports.has(remote)


async def test_a_server_that_aims_at_a_victim_gets_ninety_packets_there_and_is_left() -> None:
    with Program("127.0.0.9") as victim:
        victim.sock.setblocking(False)
        came = 0

        def count() -> int:
            nonlocal came
            try:
                while True:
                    victim.sock.recv(2048)
                    came += 1
            except BlockingIOError:
                return came

        async with a_scripted_server(QUICK) as (_, wire):
            address, port = victim.sock.getsockname()
            candidates = (m.Candidate("srflx", Endpoint(address, port), validated=True),)
            for round_ in (1, 2, 3):
                start = ScriptedPeer(wire, victim).start(m.Role.A)
                wire.send(replace(start, candidates=candidates, round=round_))
                for step in (1, 3):
                    wanted = min(count() + QUICK.hello_repeats, MOST_DATAGRAMS)
                    wire.send(m.SendHello(step, start.attempt, round_, step))
                    await wire.until(m.HelloSent)
                    await eventually(lambda: count() >= wanted, "its HELLOs")  # noqa: B023
                    if count() >= MOST_DATAGRAMS:
                        break
                if count() >= MOST_DATAGRAMS:
                    break
                wire.send(m.OpenSocket(round_ + 1))
                await wire.until(m.SocketOpened)
            while await wire.next() is not None:
                pass
            assert count() == MOST_DATAGRAMS
