"""`client --config`: several peers of one process, each on its own."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from nat_traversal import Endpoint, ServerSettings
from nat_traversal.aio.outbox import HEADROOM
from nat_traversal.machine import notices as note
from nat_traversal.wire.tray import Run
from tests.loopback.cli.words import CLIENT
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused

FULL = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"
CLOSED = "import os; os.close(1)"
AS_STDERR = "import os; os.dup2(2, 1)"
UNREAD = "import os; read, write = os.pipe(); os.close(read); os.dup2(write, 1)"


def peer(name: str, **services: Endpoint) -> str:
    """A table of a peer. A service's name begins with the side."""
    lines = ["[[peer]]", f'id = "{name}"']
    for word, at in services.items():
        side, _, called = word.partition("_")
        lines += ["[[peer.service]]", f'name = "{called}"', f'{side} = "{at}"']
    return "\n".join(lines) + "\n"


def friend(server: Endpoint, name: str, *services: str) -> tuple[str, ...]:
    words = [word for each in services for word in ("--service", each)]
    return (*CLIENT, "--json", "--server", str(server), "--id", name, "-r", "hub", *words)


async def test_a_hub_serves_two_friends_and_outlives_one(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    at_anna, at_ben = unused(), unused()
    with Service() as dns, Service() as game, Program() as program:
        async with a_server() as (server, _):
            file.write_text(
                f'server = "{server.endpoint}"\nid = "hub"\n'
                + peer("anna", connect_dns=dns.endpoint, connect_game=game.endpoint)
                + peer("ben", connect_dns=dns.endpoint, listen_game=at_ben)
            )
            async with (
                Command.run(
                    *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
                ) as hub,
                Command.run(*friend(server.endpoint, "anna", f"dns:listen={at_anna}")) as anna,
                Command.run(
                    *friend(server.endpoint, "ben", f"game:connect={game.endpoint}")
                ) as ben,
            ):
                await anna.event("services-ready")
                await ben.event("services-ready")
                await hub.line("ben: services to ben are ready: game")
                assert len(server.connections) == 3, "the hub has one for both"
                assert await program.ask(b"1", at_anna) == b"1"
                assert await program.ask(b"2", at_ben) == b"2"
                assert ([each for each, _ in dns.asked], [each for each, _ in game.asked]) == (
                    [b"1"],
                    [b"2"],
                )
                assert await anna.end(signal.SIGTERM) == 0
                await hub.line("anna: anna has left")
                assert await program.ask(b"3", at_ben) == b"3"
                assert await hub.end(signal.SIGTERM) == 0
                await ben.line("connection lost")
                assert await ben.end(signal.SIGTERM) == 0
    assert {each["peer"] for each in hub.events if each["event"] == "stopped"} == {"anna", "ben"}
    assert not [line for line in hub.told if not line.startswith(("anna: ", "ben: "))]


async def test_no_peer_begins_if_one_port_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    free, taken = unused(), unused()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(taken.sockaddr)
        file.write_text(
            'server = "192.0.2.2"\nid = "hub"\n[set]\nport-within = "10ms"\n'
            + peer("anna", listen_dns=free)
            + peer("ben", listen_dns=taken)
        )
        async with Command.run(
            *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
        ) as hub:
            assert await hub.end() == 2
    assert not [each for each in hub.events if each["event"] == "started"]
    assert str(taken) in hub.told[-1]


async def test_status_tells_each_path_and_which_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    at_anna = unused()
    with Service() as dns:
        async with a_server() as (server, _):
            file.write_text(
                f'server = "{server.endpoint}"\nid = "hub"\n'
                + peer("anna", connect_dns=dns.endpoint)
                + peer("ben", connect_dns=dns.endpoint)
            )
            async with (
                Command.run(
                    *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
                ) as hub,
                Command.run(*friend(server.endpoint, "anna", f"dns:listen={at_anna}")) as anna,
            ):
                await anna.event("services-ready")
                await hub.event("services-ready")
                status = (sys.executable, "-m", "nat_traversal", "status")
                async with Command.run(
                    *status, "hub", "--json", XDG_RUNTIME_DIR=str(tmp_path)
                ) as asked:
                    assert await asked.end() == 0
                (said,) = asked.events
                assert (said["name"], said["pid"]) == ("hub", hub.process.pid)
                paths = {each["peer"]: (each["path"], each["reason"]) for each in said["peers"]}
                assert paths == {"anna": ("direct", None), "ben": ("none", "ben is not there yet")}
                for stdout, code, words in (
                    (FULL, 2, ["error: stdout takes no more: No space left on device"]),
                    (CLOSED, 2, ["error: there is no stdout to write to"]),
                    (UNREAD, 141, []),
                ):
                    async with Command.run(
                        *(*status, "hub", "--watch"), before=stdout, XDG_RUNTIME_DIR=str(tmp_path)
                    ) as asked:
                        assert (await asked.end(), asked.told) == (code, words)
                by_name = {each["peer"]: each for each in said["peers"]}
                (service,) = by_name["anna"]["services"]
                assert service == {
                    "name": "dns",
                    "side": "connect",
                    "kind": "udp",
                    "at": str(dns.endpoint),
                    "flows": 0,
                    "state": "ready",
                    "reason": None,
                    "remedy": None,
                    "refuses": False,
                }
                (waiting,) = by_name["ben"]["services"]
                assert waiting["state"] == "waiting"
                at = by_name["anna"]["server"]
                assert (at["state"], at["id"], at["tls"]) == ("registered", "hub", False)
                assert at["address"] == str(server.endpoint)
                for peer_id, status_of_it, first_words in (
                    ("anna", 0, "anna answered after"),
                    ("ben", 4, "ben does not answer: there is no path to ben: ben is not there"),
                    ("carl", 2, "error: there is no peer 'carl' here: choose from anna, ben"),
                ):
                    ping = ("nat-traversal", "ping", "--count", "1", peer_id, "hub")
                    async with Command.run(
                        *ping, before=AS_STDERR, XDG_RUNTIME_DIR=str(tmp_path)
                    ) as asked:
                        assert await asked.end() == status_of_it
                    assert asked.told[0].startswith(first_words)
                async with Command.run(
                    *CLIENT, "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
                ) as second:
                    assert await second.end() == 2
                (line,) = second.told
                assert line.startswith("error: another client named hub runs already: end that one")
                assert await hub.end(signal.SIGTERM) == 0
                async with Command.run(*status, "hub", XDG_RUNTIME_DIR=str(tmp_path)) as asked:
                    assert await asked.end() == 2
                assert asked.told == ["error: no client named hub of this user runs: start one"]


async def test_a_server_that_takes_one_peer_of_an_id_is_told_with_the_remedy(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hub.toml"
    async with a_server(settings=ServerSettings(pairs=1)) as (server, _):
        head = f'server = "{server.endpoint}"\nid = "hub"\n'
        anna, ben = peer("anna", listen_dns=unused()), peer("ben", listen_dns=unused())
        file.write_text(head + anna + ben)
        async with Command.run(
            *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
        ) as hub:
            line = await hub.line("this server takes 1 of one id's peers")
            assert 'as = "NAME"' in line
            later = line.partition(":")[0]
            both = (anna + ben).replace(f'"{later}"\n', f'"{later}"\nas = "hub-too"\n')
            file.write_text(head + both)
            hub.process.send_signal(signal.SIGHUP)
            await hub.line(f"registered as hub-too, to connect to {later}")
            assert len(server.connections) == 2
            assert await hub.end(signal.SIGTERM) == 0


async def test_a_peer_reaches_only_the_services_of_its_own_table(tmp_path: Path) -> None:
    """Neither by another's name, nor by frames that bear any number there is."""
    file = tmp_path / "hub.toml"
    with Service() as dns, Service() as game, Program() as program:
        async with a_server() as (server, _):
            file.write_text(
                f'server = "{server.endpoint}"\nid = "hub"\n'
                + peer("anna", connect_dns=dns.endpoint)
                + peer("ben", connect_game=game.endpoint)
            )
            asks = {"dns": None, "game": None}
            async with (
                Command.run(
                    *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=str(tmp_path)
                ) as hub,
                Host(server.endpoint, "anna", "hub", services=asks) as anna,
                Host(server.endpoint, "ben", "hub", services={"game": None}) as ben,
            ):
                await hub.line("anna has the service game, which this side has not")
                assert (await anna.notices.wait(note.ServicesReady)).names == ("dns",)
                await ben.notices.wait(note.ServicesReady)
                program.send(b"by name", anna.listeners["game"].endpoint)
                for direction in range(256):
                    anna.path.send_run(7, direction, Run.of(b"by number", HEADROOM))
                anna.path.flush(more=False)
                assert await program.ask(b"1", anna.listeners["dns"].endpoint) == b"1"
                assert await program.ask(b"2", ben.listeners["game"].endpoint) == b"2"
                assert [each for each, _ in game.asked] == [b"2"]
                assert {each for each, _ in dns.asked} <= {b"1", b"by number"}
                assert await hub.end(signal.SIGTERM) == 0
    (counted,) = [
        each for each in hub.events if each["event"] == "stopped" and each["peer"] == "anna"
    ]
    assert counted["unclaimed"] >= 254
