"""`nat-traversal reload` and SIGHUP: another file counts, and what has not changed in it notices nothing."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import sys
from pathlib import Path

import pytest

from nat_traversal import Endpoint
from tests.loopback.cli.test_many_peers import friend, peer
from tests.loopback.cli.words import CLIENT
from tests.loopback.command import Command
from tests.loopback.hosts import a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused

PROGRAM = (sys.executable, "-m", "nat_traversal")
STREAM = 300
"""Datagrams that are sent and answered while the file is read again and again."""


async def reload(tmp_path: Path, status: int = 0, *name: str) -> list[str]:
    async with Command.run(*PROGRAM, "reload", *name, XDG_RUNTIME_DIR=str(tmp_path)) as asked:
        assert await asked.end() == status
    return asked.told


async def stream(program: Program, at: Endpoint, until: asyncio.Event) -> int:
    """Datagrams that were answered, one after the other, until it has been enough of them."""
    number = 0
    while number < STREAM or not until.is_set():
        assert await program.ask(b"%d" % number, at) == b"%d" % number
        number += 1
        await asyncio.sleep(0.001)
    return number


async def test_a_signal_before_the_peers_begin_counts_once_they_have(tmp_path: Path) -> None:
    """The client has read its file already, and still waits for a port."""
    file, held_at = tmp_path / "hub.toml", unused()
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.bind(held_at.sockaddr)
    head = f'server = "{unused()}"\nid = "hub"\n'
    file.write_text(head + peer("anna", listen_dns=held_at))
    words = (*CLIENT, "--json", "--config", str(file))
    async with Command.run(*words, XDG_RUNTIME_DIR=str(tmp_path)) as hub:
        with held:
            await hub.event("waiting")
            file.write_text(
                head + peer("anna", listen_dns=held_at) + peer("ben", connect_x=held_at)
            )
            hub.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.2)  # so that it comes before the port is free
        assert (await hub.event("reloaded"))["changed"] == ["ben (begun)"]
        assert await hub.end(signal.SIGTERM) == 0


async def test_a_reload_changes_what_has_changed_and_loses_no_datagram_of_the_rest(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hub.toml"
    at_anna, at_new, at_ben = unused(), unused(), unused()
    with Service() as dns, Service() as web, Program() as program, Program() as other:
        async with a_server() as (server, _):
            head = f'server = "{server.endpoint}"\nid = "hub"\n'
            file.write_text(
                head
                + peer("anna", connect_dns=dns.endpoint, connect_old=web.endpoint)
                + peer("carl", listen_dns=unused())
            )
            anna_words = friend(
                server.endpoint, "anna", f"dns:listen={at_anna}", f"web:listen={at_new}"
            )
            ben_words = friend(server.endpoint, "ben", f"dns:listen={at_ben}")
            async with (
                Command.run(
                    *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
                ) as hub,
                Command.run(*anna_words) as anna,
                Command.run(*ben_words) as ben,
            ):
                await anna.event("services-ready")
                enough = asyncio.Event()
                streaming = asyncio.create_task(stream(program, at_anna, enough))
                file.write_text(
                    head
                    + peer("anna", connect_dns=dns.endpoint, connect_web=web.endpoint)
                    + peer("ben", connect_dns=dns.endpoint)
                )
                assert await reload(tmp_path) == [
                    "reloaded: ben (begun), carl (ended), anna (other services)"
                ]
                await hub.event("reloaded")
                ready = await anna.event("services-ready")
                assert ready["names"] == ["dns", "web"]
                assert await other.ask(b"new", at_new) == b"new"
                await ben.event("services-ready")
                assert await other.ask(b"ben", at_ben) == b"ben"
                file.write_text(head + peer("anna", connect_dns=dns.endpoint))
                hub.process.send_signal(signal.SIGHUP)
                reloaded = await hub.event("reloaded")
                assert reloaded["changed"] == ["ben (ended)", "anna (other services)"]
                await anna.line("service web")
                enough.set()
                answered = await streaming
                assert await hub.end(signal.SIGTERM) == 0
            sent = [each for each, _ in dns.asked if each.isdigit()]
            assert sent == [b"%d" % number for number in range(answered)]
    assert not [each for each in hub.events if each["event"] == "path-lost"]
    started = [each["peer"] for each in hub.events if each["event"] == "started"]
    assert sorted(started) == ["anna", "ben", "carl"]


async def test_a_file_with_mistakes_changes_nothing_and_all_are_told(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    at_anna, taken = unused(), unused()
    with Service() as dns, Program() as program:
        async with a_server() as (server, _):
            good = f'server = "{server.endpoint}"\nid = "hub"\n' + peer(
                "anna", connect_dns=dns.endpoint
            )
            file.write_text(good)
            async with (
                Command.run(
                    *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
                ) as hub,
                Command.run(*friend(server.endpoint, "anna", f"dns:listen={at_anna}")) as anna,
            ):
                await anna.event("services-ready")
                file.write_text("tlss = true\n" + good + "\nlisten = 1\nconect = 2\n")
                told = await reload(tmp_path, 2)
                last = len(file.read_text().splitlines())
                assert told == [
                    f"error: {file}:1: there is no option 'tlss': did you mean tls?",
                    f"error: {file}:{last}: a service has no 'conect': did you mean connect?",
                ]
                assert (await hub.event("reload-failed"))["text"].startswith(
                    f"{file}:1: there is no"
                )
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rival:
                    rival.bind(taken.sockaddr)
                    file.write_text(good + peer("ben", listen_dns=taken))
                    (line,) = await reload(tmp_path, 2)
                    assert str(taken) in line
                file.write_text(f'ca = "none.pem"\n{good}')
                absent = f"{tmp_path / 'none.pem'}: No such file or directory"
                assert await reload(tmp_path, 2) == [f"error: {file}:1: ca {absent}"]
                file.write_text(good)
                assert await reload(tmp_path, 0, file.name) == ["reloaded: nothing has changed"]
                assert await program.ask(b"1", at_anna) == b"1"
                assert await hub.end(signal.SIGTERM) == 0
    assert [each["peer"] for each in hub.events if each["event"] == "started"] == ["anna"]


async def test_ports_go_from_one_peer_to_another_and_stay_with_one_that_begins_anew(
    tmp_path: Path,
) -> None:
    file, one, two, three = tmp_path / "hub.toml", unused(), unused(), unused()
    async with a_server() as (server, _):
        head = f'server = "{server.endpoint}"\nid = "hub"\n'
        file.write_text(
            head
            + peer("anna", listen_x=one, connect_dns=unused())
            + peer("ben", connect_dns=unused(), listen_y=two)
            + peer("carl", listen_z=three)
        )
        async with Command.run(
            *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
        ) as hub:
            await hub.line("registered as hub")
            file.write_text(
                head
                + peer("anna", listen_x=two, connect_dns=unused())
                + peer("ben", connect_dns=unused(), listen_y=one)
                + peer("carl", listen_z=three).replace(
                    "[[peer.service]]", 'relay = "never"\n[[peer.service]]'
                )
            )
            assert await reload(tmp_path) == [
                "reloaded: carl (begun anew), anna (other services), ben (other services)"
            ]
            assert await reload(tmp_path) == ["reloaded: nothing has changed"]
            for at in (one, two, three):
                with (
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rival,
                    pytest.raises(OSError, match="in use"),
                ):
                    rival.bind(at.sockaddr)
            assert await hub.end(signal.SIGTERM) == 0
    assert not [line for line in hub.told if line.startswith("error")]


async def test_with_a_terminal_sighup_says_that_it_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(f'server = "{unused()}"\nid = "hub"\n' + peer("anna", listen_x=unused()))
    ours, theirs = pty.openpty()

    # a leader of a session that has no terminal gets the first one that it opens
    take = f"import os; os.dup2(os.open({os.ttyname(theirs)!r}, os.O_RDWR), 0)"
    words = (*CLIENT, "--json", "--config", str(file))
    async with Command.run(*words, before=take, XDG_RUNTIME_DIR=str(tmp_path)) as client:
        await client.event("started")
        os.close(theirs)
        os.close(ours)
        assert await client.end() == 0
    assert client.events[-1]["event"] == "stopped"
