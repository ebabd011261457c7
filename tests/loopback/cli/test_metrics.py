"""`--metrics`: what Prometheus and a health check get from a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nat_traversal.aio.monitor import LONGEST, MOST, Monitor, Page
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint, HostPort
from tests.loopback.command import Command
from tests.loopback.hosts import Host
from tests.loopback.scripted import Wire, register
from tests.loopback.support import DEADLINE, eventually, unused
from tests.unit.counterpart import some_keys

SERVER = ("python3", "traversal_server.py", "--json", "--host", "127.0.0.1", "--port", "0")


async def ask(at: Endpoint, request: bytes) -> tuple[str, bytes]:
    """The status line and the body of the answer to the octets of a request."""
    reader, writer = await asyncio.open_connection(*at.sockaddr)
    answer = b""
    async with asyncio.timeout(DEADLINE):
        writer.write(request)
        with contextlib.suppress(ConnectionResetError):  # it is cut
            answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


async def get(at: Endpoint, path: str) -> tuple[str, bytes]:
    return await ask(at, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def numbers(at: Endpoint) -> dict[str, float]:
    """Every sample, by its name and the values of its labels."""
    status, body = await get(at, "/metrics")
    assert status == "HTTP/1.1 200 OK"
    found: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found[" ".join((sample.name, *sample.labels.values()))] = sample.value
    return found


def endpoint(event: dict[str, str]) -> Endpoint:
    address, _, port = event["endpoint"].rpartition(":")
    return Endpoint(address, int(port))


async def test_prometheus_reads_what_the_server_did() -> None:
    watch = unused()
    words = (*SERVER, "--metrics", str(watch), "--set", "drain-within=5s")
    async with Command.run(*words) as server:
        assert endpoint(await server.event("metrics")) == watch
        at = endpoint(await server.event("listening"))
        async with (
            Host(at, "host_a", "host_b", listen="127.0.0.1") as a,
            Host(at, "host_b", "host_a", listen="127.0.0.1") as b,
            await Wire.to(at) as other,
            await Wire.to(at) as same,
        ):
            await a.connected()
            await b.connected()
            await server.event("pair-connected")
            other.send(register("host_c", "host_c"))
            assert (await other.until(m.Refused)).code == "bad-id"
            said = await numbers(watch)
            assert {name: said[name] for name in EXPECTED} == EXPECTED
            while not said["nat_traversal_loop_lag_seconds_count"]:  # measured once in a while
                said = await numbers(watch)
            assert said["process_resident_memory_bytes"] > 0
            status, health = await get(watch, "/health")
            assert (status, json.loads(health)) == (
                "HTTP/1.1 200 OK",
                {"status": "ok", "hosts": 2, "connections": 3, "attempts": 0},
            )
            same.send(register("host_x", "host_y"))
            await same.until(m.PeerStatus)
            same.send(register("host_x", "host_y"))
            await same.ended()
            assert (await numbers(watch))["nat_traversal_refused_total bad-message"] == 1
            assert a.notices.of(note.PathLost) == []
        assert await server.end(signal.SIGTERM) == 0


EXPECTED = {
    "nat_traversal_registrations_total": 2,
    "nat_traversal_refused_total bad-id": 1,
    "nat_traversal_attempts_ended_total ordered-hello connected": 1,
    "nat_traversal_orders_total start": 2,
    "nat_traversal_orders_total hello": 3,
    "nat_traversal_connections": 3,
    "nat_traversal_hosts": 2,
    "nat_traversal_attempts": 0,
    "nat_traversal_limit connections": 4096,
    "nat_traversal_datagrams_dropped_total": 0,
}


async def test_a_server_that_drains_is_not_well_until_it_has_gone() -> None:
    watch = unused()
    async with Command.run(*SERVER, "--metrics", str(watch)) as server:
        at = endpoint(await server.event("listening"))
        async with await Wire.to(at) as a, await Wire.to(at) as b:
            a.send(register("host_a", "host_b"))
            b.send(register("host_b", "host_a", some_keys("another")[0]))
            await b.until(m.PeerStatus)
            server.process.send_signal(signal.SIGTERM)
            await server.event("draining")
            while (await get(watch, "/health"))[0] != "HTTP/1.1 503 Service Unavailable":
                pass
            assert await server.end(signal.SIGTERM) == -signal.SIGTERM


async def test_a_port_that_is_taken_is_wrong_usage_and_nothing_is_left() -> None:
    words = ("python3", "traversal_server.py", "--host", "127.0.0.1", "--port", "0")
    taken = unused()
    busy = await asyncio.start_server(lambda *_: None, *taken.sockaddr)
    async with busy, Command.run(*words, "--metrics", str(taken)) as server:
        said = await server.line("error: ")
        assert "another program has it: stop that, or choose another port" in said
        assert await server.end() == 2


async def test_without_the_package_one_line_says_how_to_get_it() -> None:
    words = (*SERVER, "--metrics", "9999")
    lacking = "import sys; sys.modules['prometheus_client'] = None"
    async with Command.run(*words, before=lacking) as server:
        assert "pip install 'nat-traversal[metrics]'" in await server.line("error: ")
        assert await server.end() == 2


class TestMonitor:
    """The HTTP server behind it, and those who are not Prometheus."""

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK"),
            (b"GET /a?x=y HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"),
            (b"GET /b HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
            (b"POST /a HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
            (b"\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
            (b"\xff\x00\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
            (b"GET /a HTTP/1.1\r\nX: " + b"x" * LONGEST + b"\r\n\r\n", ""),
        ],
    )
    async def test_it_answers_what_it_understands(self, request_: bytes, status: str) -> None:
        monitor = Monitor({"/a": lambda: Page(b"well\n")}, DEADLINE)
        await monitor.start(HostPort("127.0.0.1", 0))
        assert (await ask(monitor.endpoint, request_))[0] == status
        head = await ask(monitor.endpoint, b"HEAD /a HTTP/1.1\r\n\r\n")
        assert head == ("HTTP/1.1 200 OK", b"")
        await monitor.close()

    async def test_those_who_say_nothing_are_cut_and_do_not_fill_it(self) -> None:
        monitor = Monitor({"/a": lambda: Page(b"well\n")}, within=0.2)
        await monitor.start(HostPort("127.0.0.1", 0))
        silent = [await asyncio.open_connection(*monitor.endpoint.sockaddr) for _ in range(MOST)]
        await eventually(lambda: monitor.busy == MOST, "all are there")
        assert await get(monitor.endpoint, "/a") == ("", b"")
        for reader, writer in silent:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        assert (await get(monitor.endpoint, "/a"))[1] == b"well\n"
        await monitor.close()
