"""The commands inside this process: what they do between their arguments and their exit status."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nat_traversal import Endpoint, UsageError
from nat_traversal.aio import service as service_module
from nat_traversal.aio.flow_table import evictions
from nat_traversal.aio.resolver import resolve
from nat_traversal.aio.traffic import Traffic
from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import main as cli
from nat_traversal.cli.client_arguments import client_options
from nat_traversal.cli.console import Console
from nat_traversal.cli.peers import words
from nat_traversal.cli.server_arguments import server_options
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.scripted import ScriptedPeer, ScriptedServer
from tests.loopback.support import DEADLINE, eventually, unused
from tests.unit.counterpart import Counterpart


@asynccontextmanager
async def command(*words: str) -> AsyncIterator[asyncio.Task[int]]:
    """``traversal_client.py`` or ``traversal_server.py`` as a task, ended by SIGTERM at the latest."""
    make = {"client": client_options, "server": server_options}[words[0]]
    options = make(Parser()).parse_args(words[1:])
    console = Console(as_json=options.json, quiet=options.quiet)
    before = signal.getsignal(signal.SIGTERM)
    running = asyncio.ensure_future(cli.command_of(options, options)(console))
    try:
        await asyncio.sleep(0)
        yield running
    finally:
        if not running.done():
            assert signal.getsignal(signal.SIGTERM) is not before
            signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([running])


def host_a(server: Endpoint, *words: str) -> tuple[str, ...]:
    return ("client", "--server", str(server), "--id", "host_a", "-r", "host_b", *words)


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_a_client_listens_connects_and_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    local = unused()
    with Service() as service, Service() as other, Program() as program:
        async with (
            a_server() as (server, _),
            Host(
                server.endpoint, "host_b", "host_a", listen="127.0.0.1", connect=[other.endpoint]
            ) as b,
            command(
                *host_a(server.endpoint, "--json"),
                *("--listen", str(local), "--connect", str(service.endpoint)),
            ) as running,
        ):
            await b.connected()
            assert await program.ask(b"x", local) == b"x"
            assert await program.ask(b"y", b.port) == b"y"
            b.path.send(99, False, b"to nobody")
            await asyncio.sleep(0)
            signal.raise_signal(signal.SIGINT)
            assert await running == 0
        with Program(*local.sockaddr):
            pass
        told = events(capsys)
        summary = {key: value for key, value in told[-1].items() if key not in {"elapsed", "time"}}
        assert summary == {
            "event": "stopped",
            "sent": 2,
            "received": 3,
            "unsendable": 0,
            "refused": 0,
            "unreachable": 0,
            "foreign": 0,
            "unclaimed": 1,
            "malformed": 0,
            "stranger": 0,
            "replayed": 0,
            "not-authentic": 0,
            "incomplete": 0,
            "handshake-forged": 0,
            "handshake-replayed": 0,
            "flows-evicted": 0,
        }


async def test_an_id_that_nobody_chose_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with a_server() as (server, notices):
        words = ("--server", str(server.endpoint), "-r", "host_b", "--connect", "127.0.0.1:9")
        async with command("client", *words):
            registered = await notices.wait(note.HostRegistered)
        told = capsys.readouterr().err
        expected = f"this host's id is {registered.id}: the other side needs -r {registered.id}\n"
        assert told.startswith(expected)
        assert registered.id != "host_b"


async def test_the_summary_names_every_loss(capsys: pytest.CaptureFixture[str]) -> None:
    counters = Counters()
    Traffic(counters)
    evictions(counters)
    for number, counter in enumerate(counters, start=1):
        counter.value = number
    words.tell_summary(Console(as_json=False), counters)
    assert capsys.readouterr().err == (
        "datagrams: 1 to the other side, 2 from it; 3 could not be sent; 4 found nobody listening; "
        "5 were lost on the way; 6 came from other hosts; 7 had no taker; 8 malformed; "
        "9 of no path of ours; 10 came twice or too late; 11 not sealed by the other side; "
        "12 incomplete; 13 forged in the handshake; 14 replayed in the handshake; "
        "15 programs' flows made room for others\n"
    )


async def test_a_server_runs_until_it_is_asked_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    where = unused()
    words = ("server", "--host", where.address, "--port", str(where.port), "--json")
    async with command(*words) as running:
        async with Host(where, "host_a", "host_b", listen="127.0.0.1") as a:
            await a.notices.wait(note.RegisteredAtServer)
        signal.raise_signal(signal.SIGTERM)
        assert await running == 0
    told = events(capsys)
    assert told[0]["endpoint"] == str(where)
    assert [event["event"] for event in told][-1] == "stopped"


class TestStatus:
    """The exit status of a client that ends by itself."""

    async def test_server_unreachable(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = host_a(unused(), "--connect", "127.0.0.1:9", "--once")
        async with command(*words) as running:
            assert await running == 3
        assert "giving up" in capsys.readouterr().err

    @pytest.mark.parametrize("once", [True, False])
    async def test_traversal_failed(self, once: bool, capsys: pytest.CaptureFixture[str]) -> None:
        async with ScriptedServer.run() as server:
            words = host_a(server.endpoint, "--connect", "127.0.0.1:9", *["--once"] * once)
            async with command(*words) as running:
                wire = await server.client()
                wire.send(Counterpart().start(m.Role.A, unused()))
                wire.send(m.Failed(1, "no-path", "these NATs forbid it"))
                if once:
                    assert await running == 4
                    await wire.ended()
                else:
                    wire.send(m.Heartbeat(1))
                    await wire.until(m.HeartbeatAnswer)
                    assert not running.done()
        assert running.result() == (4 if once else 0)
        told = capsys.readouterr().err
        then = "giving up" if once else "next attempt in"
        assert f"no path: these NATs forbid it; {then}" in told

    async def test_refused(self) -> None:
        async with (
            a_server() as (server, _),
            Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as holder,
        ):
            await holder.notices.wait(note.RegisteredAtServer)
            words = host_a(server.endpoint, "--connect", "127.0.0.1:9", "--once")
            async with command(*words) as running:
                assert await running == 5

    @pytest.mark.parametrize("once", [True, False])
    async def test_connection_lost(self, once: bool) -> None:
        async with a_server() as (server, _):
            words = host_a(server.endpoint, "--connect", "127.0.0.1:9", *["--once"] * once)
            async with command(*words) as running:
                async with Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b:
                    await b.connected()
                if once:
                    assert await running == 6
                else:
                    async with Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b:
                        await b.connected()

    async def test_the_first_of_two_reasons_to_end_decides(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async with ScriptedServer.run() as server:
            words = host_a(server.endpoint, "--connect", "127.0.0.1:9", "--once")
            async with command(*words) as running:
                wire = await server.client()
                with Program() as program:
                    peer = ScriptedPeer(wire, program)
                    wire.send(peer.start(m.Role.B), m.SendHello(1, 1, 1, 2))
                    await peer.hears(2)
                    peer.sends(peer.voice.hello(3, to=peer.host, echo=peer.heard.nonce))
                    await wire.until(m.Established)
                    wire.send(m.Failed(1, "no-path", "the other side heard nothing"))
                    assert await running == 6
        told = capsys.readouterr().err
        assert "connection lost: the other side never confirmed the path" in told
        assert "no path: the other side heard nothing; giving up" in told


class TestProcess:
    """Around the event loop."""

    def test_the_status_of_a_command_is_returned(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = host_a(unused(), "--connect", "127.0.0.1:9", "--once")
        assert cli.main(list(words)) == 3
        assert cli.client_main(list(words[1:])) == 3

    @pytest.mark.parametrize(
        "words", [["server"], ["client", "--server", "127.0.0.1", "-r", "host_b"]]
    )
    def test_ctrl_c_before_the_handlers_stand_is_no_error(
        self, words: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(_: asyncio.Runner, coroutine: object) -> int:
            coroutine.close()  # type: ignore[attr-defined]
            raise KeyboardInterrupt

        monkeypatch.setattr(asyncio.Runner, "run", interrupted)
        assert cli.main(words) == 0

    def test_verbose_raises_the_level_of_the_log(self, monkeypatch: pytest.MonkeyPatch) -> None:
        levels: list[object] = []
        monkeypatch.setattr(logging, "basicConfig", lambda **how: levels.append(how["level"]))
        for more in ([], ["-v"]):
            cli.client_main([*host_a(unused(), "--connect", "127.0.0.1:9", "--once")[1:], *more])
        assert levels == [logging.WARNING, logging.DEBUG]


class TestNames:
    """Looking names up."""

    async def test_an_answer_that_nobody_waits_for_any_more_is_dropped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, answer = threading.Event(), threading.Event()

        def slow(*_: object) -> list[object]:
            asked.set()
            answer.wait(DEADLINE)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        waiting = asyncio.create_task(resolve(HostPort("slow.example", 1)))
        await eventually(asked.is_set, "the question is asked")
        waiting.cancel()
        threads = [each for each in threading.enumerate() if each.name == "resolve slow.example"]
        assert len(threads) == 1
        assert threads[0].daemon
        answer.set()
        await eventually(lambda: not threads[0].is_alive(), "the thread ends")
        assert waiting.cancelled() or waiting.cancelling()

    def test_an_answer_after_the_end_of_the_loop_is_dropped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answer.wait(DEADLINE) and [])

        async def ask_and_leave() -> None:
            asking = asyncio.create_task(resolve(HostPort("slow.example", 1)))
            await asyncio.sleep(0)
            asking.cancel()

        asyncio.run(ask_and_leave())
        thread = next(each for each in threading.enumerate() if each.name == "resolve slow.example")
        answer.set()
        thread.join(DEADLINE)
        assert not thread.is_alive()

    async def test_an_address_needs_no_name_server(self) -> None:
        assert await resolve(HostPort("127.0.0.1", 53)) == [Endpoint("127.0.0.1", 53)]
        assert await resolve(HostPort("::1", 53)) == [Endpoint("::1", 53)]

    async def test_a_stop_during_the_lookup_of_a_service_ends_the_client(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hang = asyncio.Event()

        async def resolve(name: HostPort) -> list[Endpoint]:
            await hang.wait()
            raise UsageError

        monkeypatch.setattr(service_module, "resolve", resolve)
        words = host_a(unused(), "--connect", "dns.example:53", "--once")
        async with command(*words) as running:
            signal.raise_signal(signal.SIGTERM)
            assert await running == 0
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
