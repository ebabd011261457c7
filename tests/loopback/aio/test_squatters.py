"""Strangers that want a living host's id, over real sockets: the holder keeps it, and learns nothing of them."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Service
from tests.loopback.scripted import Wire, register
from tests.unit.counterpart import some_keys

FREE = ServerSettings(connects_burst=10_000, connects_in_all=10_000)
"""Strangers may come as often as they like."""


async def test_a_connected_holder_keeps_its_id_and_its_path_under_many_registrations() -> None:
    strangers = 3 * ServerSettings().burst
    with Service() as service:
        async with (
            a_server(settings=FREE) as (server, _),
            Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            Host(server.endpoint, "host_b", "host_a", connect=[service.endpoint]) as b,
        ):
            await a.connected()
            await b.connected()
            for number in range(strangers):
                async with await Wire.to(server.endpoint) as wire:
                    key, owner = some_keys(f"key {number}", f"owner {number}")
                    wire.send(replace(register("host_a", "host_b", key), owner=owner))
                    assert (await wire.until(m.Refused)).code == m.ErrorCode.ID_IN_USE
            assert server.counters["refused-id-in-use"] == strangers
            assert server.counters["refused-too-fast"] == 0
            for host in (a, b):
                assert host.notices.of(note.ServerLost) == []
                assert host.notices.of(note.PathLost) == []
