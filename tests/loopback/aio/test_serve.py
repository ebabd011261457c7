"""A server's addresses, ports and files, from its beginning to its end."""

from __future__ import annotations

import socket
from contextlib import nullcontext

import pytest

from nat_traversal import Endpoint, UsageError, serve
from nat_traversal.aio import packet_io, ports
from nat_traversal.aio import room as room_module
from nat_traversal.aio.packet_io import SPARE_FILES
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from tests.loopback.aio.guests import NO_RATE_LIMIT, a_deaf_client, a_pair_connects
from tests.loopback.hosts import Host
from tests.loopback.programs import Program
from tests.loopback.scripted import Wire, register
from tests.loopback.support import unused


class TestServe:
    """`nat_traversal.serve`, for programs in Python."""

    async def test_it_frees_its_ports_when_the_block_ends(self) -> None:
        async with await serve("127.0.0.1", 0) as server:
            endpoint = server.endpoint
            await a_pair_connects(endpoint)
        with (
            Program(port=endpoint.port),
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            pytest.raises(ConnectionRefusedError),
        ):
            tcp.connect(endpoint.sockaddr)
        async with await serve(endpoint.address, endpoint.port) as again:
            assert again.endpoint == endpoint
            await a_pair_connects(endpoint)

    async def test_its_end_ends_every_connection_also_of_those_who_do_not_read(self) -> None:
        server = await serve("127.0.0.1", 0, settings=NO_RATE_LIMIT)
        async with a_deaf_client(server) as (_, protocol), await Wire.to(server.endpoint) as host:
            host.send(register("host_a", "host_b"))
            await host.until(m.Registered)
            await server.close()
            assert not protocol.is_open
            await host.ended()

    async def test_a_port_that_is_free_for_tcp_only_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, taken = packet_io.open_udp, [UsageError("taken")] * 3

        def sometimes(local: Endpoint, *, only_v6: bool) -> socket.socket:
            if taken:
                raise taken.pop()
            return real(local, only_v6=only_v6)

        monkeypatch.setattr(ports, "open_udp", sometimes)
        async with await serve("127.0.0.1", 0) as server:
            await a_pair_connects(server.endpoint)
        assert taken == []

    async def test_a_taken_port_and_a_wrong_address_are_usage_errors(self) -> None:
        async with await serve("127.0.0.1", 0) as server:
            with pytest.raises(UsageError, match="another program has it"):
                await serve("127.0.0.1", server.endpoint.port)
        with pytest.raises(UsageError, match="no such address"):
            await serve("192.0.2.77", 0)

    @pytest.mark.parametrize("host", ["::1", "::"])
    async def test_an_ipv6_server_introduces_hosts_over_ipv6(self, host: str) -> None:
        async with await serve(host, 0) as server:
            at = Endpoint("::1", server.endpoint.port)
            async with (
                await serve("0.0.0.0", at.port) if host == "::" else nullcontext(),
                Host(at, "host_a", "host_b", listen="127.0.0.1") as a,
                Host(at, "host_b", "host_a", listen="127.0.0.1") as b,
            ):
                for each in (a, b):
                    assert (await each.connected()).remote.address == "::1"

    async def test_it_listens_at_several_addresses_with_one_port(self) -> None:
        async with await serve(["127.0.0.1", "127.0.0.2", "::1"], 0) as server:
            assert [each.address for each in server.endpoints] == ["127.0.0.1", "127.0.0.2", "::1"]
            assert len({each.port for each in server.endpoints}) == 1
            for at in server.endpoints:
                await a_pair_connects(at)  # its announces are answered from where they went

    async def test_it_speaks_both_ip_versions_at_every_address(self) -> None:
        async with await serve(["0.0.0.0", "::"], 0) as server:
            for address in ("127.0.0.1", "127.0.0.5", "::1"):
                await a_pair_connects(Endpoint(address, server.endpoint.port))

    async def test_hosts_that_came_by_different_versions_are_told_so(self) -> None:
        async with await serve(["127.0.0.1", "::1"], 0) as server:
            over_4, over_6 = server.endpoints
            async with (
                Host(
                    over_4, "host_a", "host_b", listen="127.0.0.1", relaying=m.Relaying.NEVER
                ) as a,
                Host(
                    over_6, "host_b", "host_a", listen="127.0.0.1", relaying=m.Relaying.NEVER
                ) as b,
            ):
                for each in (a, b):
                    failed = await each.notices.wait(note.AttemptFailed)
                    assert failed.code == m.Verdict.NO_ADDRESS
                    assert "give both sides a --server address of the same one" in failed.text

    async def test_an_address_that_is_missing_frees_the_others(self) -> None:
        at = unused()
        with pytest.raises(UsageError, match="no such address"):
            await serve([at.address, "192.0.2.77"], at.port)
        async with await serve(at.address, at.port) as server:
            await a_pair_connects(server.endpoint)

    async def test_it_takes_no_more_connections_than_it_may_have_files(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(room_module, "file_limit", lambda _: SPARE_FILES + 2)
        async with await serve("127.0.0.1", 0) as server:
            assert "room for 2 connections only: raise `ulimit -n`" in caplog.text
            async with (
                await Wire.to(server.endpoint) as first,
                await Wire.to(server.endpoint),
                await Wire.to(server.endpoint),
            ):
                assert (await first.until(m.Refused)).code == m.ErrorCode.SERVER_FULL

    async def test_without_room_for_a_pair_it_does_not_start(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room_module, "file_limit", lambda _: SPARE_FILES + 1)
        with pytest.raises(
            UsageError, match="may open 65 files, and a server needs 66 for one pair"
        ):
            await serve("127.0.0.1", 0)

    async def test_an_operator_who_does_not_listen_is_told_nothing(self) -> None:
        async with await serve("127.0.0.1", 0) as server:
            await a_pair_connects(server.endpoint)
