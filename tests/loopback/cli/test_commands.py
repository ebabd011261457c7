"""The public commands as processes, from a checkout and installed."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket

import pytest

from nat_traversal import Endpoint
from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from tests.loopback.beforehand import limit_of_files
from tests.loopback.cli.words import CLIENT, SERVER, host_a, listening
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.scripted import Wire, announce, register
from tests.loopback.support import unused

FORMS = [
    (SERVER, CLIENT),
    (("traversal-server",), ("traversal-client",)),
    (("nat-traversal", "server"), ("nat-traversal", "client")),
    (("python3", "-m", "nat_traversal", "server"), ("python3", "-m", "nat_traversal", "client")),
]
"""The last is what the others do once Python has found them: so it starts warm."""
FORMS_TRIED = [*(pytest.param(*form, marks=pytest.mark.long) for form in FORMS[:-1]), FORMS[-1]]


@pytest.mark.parametrize(("server_words", "client_words"), FORMS_TRIED)
async def test_two_clients_forward_a_datagram_and_its_reply(
    server_words: tuple[str, ...], client_words: tuple[str, ...]
) -> None:
    cold = server_words != FORMS[-1][0]
    with Service() as service, Program() as program:
        local = unused()
        async with Command.run(*server_words, "--port", "0", cold=cold) as server:
            port = (await listening(server)).port
            async with (
                Command.run(
                    *(*client_words, "--server", f"127.0.0.1:{port}", "--id", "host_a"),
                    *("-r", "host_b", "--listen", str(local)),
                    cold=cold,
                ) as a,
                Command.run(
                    *(*CLIENT, "--server", f"127.0.0.1:{port}", "--id", "host_b"),
                    *("-r", "host_a", "--connect", str(service.endpoint)),
                ) as b,
            ):
                await a.line("connected to 127.0.0.1:")
                await b.line("connected to 127.0.0.1:")
                await server.line("host_a and host_b are connected (round 1)")
                assert await program.ask(b"hello", local) == b"hello"
                assert await a.end(signal.SIGTERM) == 0
                await b.line("host_a has left")
                assert await b.end(signal.SIGINT) == 0
                assert a.told[-1] == "datagrams: 1 to the other side, 1 from it"
            assert await server.end(signal.SIGTERM) == 0
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, Program(port=port):
        with pytest.raises(ConnectionRefusedError):
            tcp.connect(("127.0.0.1", port))
        Program(*local.sockaddr).sock.close()


async def test_a_server_by_name_a_service_by_name_and_an_id_that_is_told() -> None:
    with Service() as service, Program() as program:
        async with (
            a_server() as (server, _),
            Command.run(
                *CLIENT,
                *("--server", f"localhost:{server.endpoint.port}", "-r", "host_b"),
                *("--connect", f"localhost:{service.endpoint.port}"),
            ) as a,
        ):
            found = re.fullmatch(
                r"this host's id is (host-[0-9a-f]{8}): the other side needs -r \1",
                await a.line("this host's id is"),
            )
            assert found
            async with Host(server.endpoint, "host_b", found[1], listen="127.0.0.1") as b:
                await b.connected()
                assert await program.ask(b"x", b.port) == b"x"


async def test_each_side_is_told_what_to_do_and_that_the_service_at_b_is_down() -> None:
    nobody, local = unused(), unused()
    async with a_server() as (server, _):
        words = ("--server", str(server.endpoint), "--id", "host_b", "-r", "host_a")
        async with (
            Command.run(*host_a(server.endpoint), "--listen", str(local)) as a,
            Command.run(*CLIENT, *words, "--connect", str(nobody)) as b,
        ):
            await a.line(f"ready: send your program's datagrams to {local}")
            await b.line(f"ready: datagrams of the other side's programs go to {nobody}")
            with Program() as program:
                program.send(b"x", local)
                await b.line(f"nothing listens on {nobody}: start the service or correct")
                await a.line("nothing listens on the service that host_b connects to")
                with Service(*nobody.sockaddr):
                    assert await program.ask(b"y", local) == b"y"
                await a.line("the service at host_b answers again")
                await b.line(f"a program answers again at {nobody}")
                program.send(b"z", local)  # and what is said of its next end is news
                await b.line(f"nothing listens on {nobody}: start the service or correct")


async def test_two_sides_that_both_listen_are_told_at_once() -> None:
    async with a_server() as (server, _):
        words = ("--server", str(server.endpoint), "--id", "host_b", "-r", "host_a")
        async with (
            Command.run(*host_a(server.endpoint), "--listen", str(unused())) as a,
            Command.run(*CLIENT, *words, "--listen", str(unused())) as b,
        ):
            await a.line("host_b has --listen only, as this side has")
            await b.line("host_a has --listen only, as this side has")


async def test_two_ids_that_nobody_chose_differ() -> None:
    words = (*CLIENT, "--server", str(unused()), "-r", "b", "--connect", "127.0.0.1:9")
    async with (
        Command.run(*words, "--json", "--quiet") as one,
        Command.run(*words, "--json", "--quiet") as other,
    ):
        ids = [(await command.event("started"))["id"] for command in (one, other)]
        assert ids[0] != ids[1]
        for command in (one, other):
            assert await command.end(signal.SIGTERM) == 0
            assert command.told == []


async def test_json_has_the_whole_story_and_no_secret() -> None:
    local = str(unused())
    async with (
        a_server() as (server, _),
        Command.run(*host_a(server.endpoint), "--listen", local, "--json") as a,
    ):
        await a.event("mapping-learned")
        async with Host(
            server.endpoint, "host_b", "host_a", connect=[Endpoint("127.0.0.1", 9)]
        ) as b:
            await a.event("path-established")
            await b.connected()
            secrets = secrets_of(b)
        await a.event("path-lost")
        assert await a.end(signal.SIGTERM) == 0
    names = [event["event"] for event in a.events]
    story = [
        *("started", "registered-at-server", "round-started", "hello-went-out", "hello-came-in"),
        *("path-established", "path-lost", "stopped"),
    ]
    assert sorted(story, key=names.index) == story
    assert names[-1] == "stopped"
    elapsed = [event["elapsed"] for event in a.events]
    assert elapsed == sorted(elapsed)
    assert a.events[0]["id"] == "host_a"
    told = json.dumps(a.events) + "".join(a.told)
    assert len(secrets) == 6
    assert not [secret for secret in secrets if secret.hex()[:16] in told]


def secrets_of(host: Host) -> list[bytes]:
    """The keys of its path and of its registration; those of the other side are the same."""
    keys = host.path.order.epochs.keys
    (peer,) = host.client.agent.peers.values()
    return [
        keys.chain, keys.sending.seal, keys.sending.handshake, keys.receiving.seal,
        keys.receiving.handshake, peer.direct.announce_key.key,
    ]  # fmt: skip


async def test_the_server_tells_its_story_in_json() -> None:
    async with Command.run(*SERVER, "--host", "127.0.0.1", "--port", "0", "--json") as server:
        endpoint = (await server.event("listening"))["endpoint"]
        address, port = endpoint.split(":")
        where = Endpoint(address, int(port))
        async with (
            Host(where, "host_a", "host_b", listen="127.0.0.1"),
            Host(where, "host_b", "host_a", listen="127.0.0.1"),
        ):
            connected = await server.event("pair-connected")
            assert (connected["first"], connected["second"]) == ("host_a", "host_b")
        assert await server.end(signal.SIGINT) == 0
        names = [event["event"] for event in server.events]
        assert names[:3] == ["listening", "host-registered", "host-registered"]
        assert names[-1] == "stopped"


async def test_verbose_tells_every_state_change_and_quiet_only_errors() -> None:
    async with a_server() as (server, _):
        words = (*host_a(server.endpoint), "--connect", "127.0.0.1:9")
        async with Command.run(*words, "--verbose") as a:
            await a.line("CONNECTING -> REGISTERING")
            await a.line("REGISTERING -> REGISTERED")
            assert await a.end(signal.SIGTERM) == 0
        async with Command.run(*words, "--quiet", "--json") as a:
            await a.event("registered-at-server")
            assert await a.end(signal.SIGTERM) == 0
            assert a.told == []
    async with Command.run(*CLIENT, "--quiet", "--server", "x", "-r", "host_b", "--id", "a") as a:
        assert await a.end() == 2
        assert a.told == [
            "error: nothing to forward: give --listen PORT, --connect HOST:PORT or both"
        ]


class TestStatus:
    """Every end has its own exit status, and says why in words."""

    async def test_2_for_a_wrong_argument(self) -> None:
        async with Command.run(*SERVER, "--port", "65536") as server:
            assert await server.end() == 2
            assert len(server.told) == 1
            assert server.told[0].startswith("error: argument --port: '65536' must be")

    async def test_2_for_a_port_that_is_taken(self) -> None:
        with Program() as taken:
            words = ("--server", "127.0.0.1:9", "-r", "b", "--listen", str(taken.endpoint.port))
            hasty = ("--set", "port-within=0.1s")
            async with Command.run(*CLIENT, "--id", "a", *words, *hasty) as a:
                assert await a.end() == 2
                first, last = a.told
                assert f"cannot use UDP {taken.endpoint}: another program has it" in first
                assert first.endswith("; trying again until it can be used")
                assert last.startswith(f"error: cannot use UDP {taken.endpoint}")

    async def test_7_with_once_for_a_name_or_an_address_that_may_come_yet(self) -> None:
        for words in (("--connect", "no-such-name.invalid:53"), ("--listen", "192.0.2.77:53")):
            async with Command.run(*host_a(unused()), *words, "--once") as a:
                assert await a.end() == 7
                assert len(a.told) == 1

    async def test_3_for_a_server_that_cannot_be_reached(self) -> None:
        server = unused()
        async with Command.run(*host_a(server), "--connect", "127.0.0.1:9", "--once") as a:
            assert await a.end() == 3
            refused = f"server: cannot connect to {server}: Connection refused; giving up"
            assert any(line.startswith(refused) for line in a.told)

    async def test_4_for_a_traversal_that_failed(self) -> None:
        settings = ServerSettings(step_within=0.05, longest_round_trip=0.0)
        async with (
            a_server(settings=settings) as (server, _),
            await Wire.to(server.endpoint) as mute,
        ):
            mute.send(register("0_first", "host_a"))  # role A, who has to speak first
            await mute.until(m.Registered)
            with Program() as program:
                program.send(announce(), server.endpoint)
                words = ("--server", str(server.endpoint), "--id", "host_a", "-r", "0_first")
                async with Command.run(
                    *CLIENT, *words, "--connect", "127.0.0.1:9", "--once", "--json"
                ) as a:
                    assert await a.end() == 4
            why = "0_first did not obey the order to send HELLO 1"
            assert f"no path: {why}; giving up" in a.told
            failed = next(event for event in a.events if event["event"] == "attempt-failed")
            assert (failed["code"], failed["text"], failed["retry_in"]) == (
                "peer-silent",
                why,
                None,
            )

    async def test_5_for_an_id_in_use_with_once_and_else_it_goes_on(self) -> None:
        async with (
            a_server() as (server, _),
            Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as holder,
        ):
            await holder.notices.wait(note.RegisteredAtServer)
            words = (*host_a(server.endpoint), "--connect", "127.0.0.1:9")
            text = (
                "the id 'host_a' is in use by another client, which has no identity: "
                "end that one, or choose another --id"
            )
            async with Command.run(*words, "--once") as a:
                assert await a.end() == 5
                assert f"the server refused: {text}" in a.told
            async with Command.run(*words) as a:
                await a.line(f"server: {text}; trying again in")
                await holder.client.close()
                await a.line("registered as host_a")

    async def test_6_for_a_path_that_ended(self) -> None:
        async with a_server() as (server, _):
            words = (*host_a(server.endpoint), "--connect", "127.0.0.1:9", "--once")
            async with Command.run(*words) as a:
                async with Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b:
                    await b.connected()
                    await a.line("connected to")
                assert await a.end() == 6
                assert "connection lost: the other side closed it" in a.told


async def test_a_server_affords_more_connections_than_the_soft_limit_of_open_files() -> None:
    soft = limit_of_files(40, hard=False)
    words = (
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--max-connections",
        "300",
        "--set",
        "unregistered-per-source=200",
    )
    async with Command.run(*SERVER, *words, before=soft) as server:
        endpoint = await listening(server)
        idle = [await asyncio.open_connection(*endpoint.sockaddr) for _ in range(100)]
        async with (
            Host(endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            Host(endpoint, "host_b", "host_a", listen="127.0.0.1"),
        ):
            await a.connected()
        for _, writer in idle:
            writer.transport.abort()
        assert await server.end(signal.SIGTERM) == 0
        assert not any("refused" in line or "Traceback" in line for line in server.told)


async def test_a_burst_of_connections_does_not_use_up_the_open_files() -> None:
    words = ("--host", "127.0.0.1", "--port", "0")
    async with Command.run(*SERVER, *words, before=limit_of_files(80)) as server:
        endpoint = await listening(server)
        server.process.send_signal(signal.SIGSTOP)
        burst = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(300)]
        for sock in burst:  # the kernel completes them, and they wait
            sock.setblocking(False)
            sock.connect_ex(endpoint.sockaddr)
        server.process.send_signal(signal.SIGCONT)
        async with (
            Host(endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            Host(endpoint, "host_b", "host_a", listen="127.0.0.1"),
        ):
            await a.connected()
        for sock in burst:
            sock.close()
        assert await server.end(signal.SIGTERM) == 0
        assert "room for 16 connections only: raise `ulimit -n`" in server.told[0]
        assert not any("Traceback" in line for line in server.told)
