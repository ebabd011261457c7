"""A real client whose server lies: how many packets reach a victim's socket."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal import Endpoint
from nat_traversal.paths.budget import MOST_DATAGRAMS
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from tests.loopback.aio.clients import a_scripted_server
from tests.loopback.programs import Program
from tests.loopback.scripted import ScriptedPeer
from tests.loopback.support import eventually

QUICK = ClientSettings(hello_interval=0.01)


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
