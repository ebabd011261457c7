"""Signals and closed streams end a command as they should, at any moment of its life."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from nat_traversal import Endpoint
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from tests.loopback.beforehand import stdout_is
from tests.loopback.cli.words import BOTH_SIGNALS, CLIENT, EVERY_SIGNAL, SERVER, host_a, listening
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server
from tests.loopback.scripted import Wire, register
from tests.loopback.support import unused

INTERRUPTED_AT_IMPORTS = """
import os, signal, sys
def has_loop():
    asyncio = sys.modules.get("_asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None
class Finder:
    begun, count = False, 0
    @classmethod
    def find_spec(cls, name, *_):
        cls.begun = cls.begun or name == os.environ["FROM"]
        if not cls.begun:
            return
        cls.count += 1
        if has_loop():
            cls.begun = False
            signal.raise_signal(signal.SIGINT)
        elif cls.count % 5 == 1:
            if os.fork():
                told = os.waitstatus_to_exitcode(os.wait()[1])
                with open(os.environ["STATUSES"], "a") as file:
                    print(told, file=file)
            else:
                cls.begun = False
                signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""
"""A `sitecustomize` that presses Ctrl-C at every fifth import from the module FROM on, in a fork.

It does so at the first import after the event loop has begun, in the process itself: a fork would share that loop.
"""
NO_ANSWER = """
import socket, sys, threading
def hang(*_):
    print("asked", file=sys.stderr, flush=True)
    threading.Event().wait()
socket.getaddrinfo = hang
"""
"""No name server answers, and a lookup cannot be stopped."""


class TestStop:
    """Ctrl-C and SIGTERM are no errors, at whatever stage."""

    @BOTH_SIGNALS
    async def test_while_the_server_is_not_there(self, number: signal.Signals) -> None:
        async with Command.run(*host_a(unused()), "--connect", "127.0.0.1:9") as a:
            await a.line("Connection refused; trying again in")
            assert await a.end(number) == 0
            assert a.told[-1] == "datagrams: 0 to the other side, 0 from it"

    @BOTH_SIGNALS
    async def test_while_the_server_does_not_answer(self, number: signal.Signals) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            silent.setblocking(False)
            words = host_a(Endpoint(*silent.getsockname()))
            async with Command.run(*words, "--connect", "127.0.0.1:9") as a:
                accepted, _ = await asyncio.get_running_loop().sock_accept(silent)
                assert await a.end(number) == 0
                accepted.close()

    @BOTH_SIGNALS
    async def test_while_the_peer_is_not_there(self, number: signal.Signals) -> None:
        async with (
            a_server() as (server, notices),
            Command.run(*host_a(server.endpoint), "--connect", "127.0.0.1:9") as a,
        ):
            await a.line("seen from outside as")
            assert await a.end(number) == 0
            assert await notices.wait(note.HostLeft) == note.HostLeft("host_a")

    @EVERY_SIGNAL
    async def test_while_connected(self, number: signal.Signals) -> None:
        async with (
            a_server() as (server, _),
            Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
            Command.run(*host_a(server.endpoint), "--connect", "127.0.0.1:9") as a,
        ):
            await b.connected()
            assert await a.end(number) == 0
            assert await b.notices.wait(note.PathLost) == note.PathLost("the other side closed it")

    @pytest.mark.parametrize("name", ["--server", "--connect"])
    @BOTH_SIGNALS
    async def test_while_a_name_is_being_looked_up(self, name: str, number: signal.Signals) -> None:
        words = {
            "--server": ("--server", "server.example", "--listen", str(unused())),
            "--connect": ("--server", "127.0.0.1:9", "--connect", "dns.example:53"),
        }[name]
        async with Command.run(*CLIENT, "-r", "host_b", *words, before=NO_ANSWER) as a:
            await a.line("asked")
            assert await a.end(number) == 0

    async def test_hang_up_that_was_ignored_before_stops_nothing(self) -> None:
        """As ``nohup`` asks."""
        async with a_server() as (server, notices):
            ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
            words = (*host_a(server.endpoint), "--connect", "127.0.0.1:9")
            async with Command.run(*words, before=ignored) as a:
                await notices.wait(note.HostRegistered)
                a.process.send_signal(signal.SIGHUP)
                async with Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b:
                    await b.connected()
                assert await a.end(signal.SIGTERM) == 0

    @pytest.mark.parametrize("client_words", [CLIENT, ("traversal-client",)])
    async def test_ctrl_c_at_any_import_shows_no_traceback(
        self, client_words: tuple[str, ...], tmp_path: Path
    ) -> None:
        """Until the event loop answers Ctrl-C, a start is nothing but imports.

        The imports of a script of pip's or `runpy` before it calls this package are theirs.
        """
        (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_AT_IMPORTS)
        first = "nat_traversal" if client_words == CLIENT else "nat_traversal.cli.main"
        words = (*client_words, "--server", str(unused()), "-r", "b", "--connect", "127.0.0.1:9")
        told = tmp_path / "statuses"
        async with Command.run(
            *words, "--once", PYTHONPATH=str(tmp_path), FROM=first, STATUSES=str(told)
        ) as a:
            assert await a.end() == 0, "as one that runs"
        assert "Traceback" not in "".join(a.told)
        statuses = told.read_text().split()
        assert len(statuses) > 20
        assert set(statuses) == {"0"}, statuses


class TestStreams:
    """Readers of the output may go away; disks may be full."""

    @pytest.mark.parametrize("side", ["server", "client"])
    async def test_a_reader_of_events_that_goes_away_ends_the_command(self, side: str) -> None:
        """Also where nothing is left to be written: the pipe itself tells it."""
        async with a_server() as (server, notices):
            words = {
                "server": (*SERVER, "--host", "127.0.0.1", "--port", "0", "--json"),
                "client": (*host_a(server.endpoint), "--connect", "127.0.0.1:9", "--json"),
            }[side]
            last_word = {"server": "listening on", "client": "seen from outside as"}[side]
            read, write = os.pipe()
            async with Command.run(*words, before=stdout_is(write)) as command:
                await command.line(last_word)
                os.close(write)
                os.close(read)
                assert await command.end() == 141
                assert "Traceback" not in "".join(command.told)
            if side == "client":
                assert await notices.wait(note.HostLeft) == note.HostLeft("host_a")

    async def test_a_full_disk_stops_nothing(self) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        words = ("--host", "127.0.0.1", "--port", "0", "--json")
        async with Command.run(*SERVER, *words, before=stdout_is(full)) as server:
            endpoint = await listening(server)
            async with await Wire.to(endpoint) as wire:
                wire.send(register("host_a", "host_b"))
                await wire.until(m.Registered)
            await server.line("host_a has left")
            assert await server.end(signal.SIGTERM) == 0
        os.close(full)

    async def test_closed_streams_stop_nothing(self) -> None:
        async with a_server() as (server, notices):
            closed = "import os; os.close(1); os.close(2)"
            words = (*host_a(server.endpoint), "--connect", "127.0.0.1:9", "--json", "--verbose")
            async with Command.run(*words, before=closed) as a:
                await notices.wait(note.HostRegistered)
                assert await a.end(signal.SIGTERM) == 0
