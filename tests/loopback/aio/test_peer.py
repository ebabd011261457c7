"""A client and its peer over real sockets: the trust that both ask for, and a restart of either."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from nat_traversal import ServerSettings
from nat_traversal.client.security import Security
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from tests.features import linux_only
from tests.loopback.aio.clients import DISCARD
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server, two_hosts
from tests.loopback.programs import Program, Service


class TestTrust:
    """Two real clients, each with what it was given."""

    @pytest.mark.parametrize("name", ["plaintext", "shared key", "identities"])
    async def test_two_that_were_given_the_same_connect(self, name: str) -> None:
        numbers = random.Random(1)
        a_key, b_key = KeyPair.generate(numbers), KeyPair.generate(numbers)
        a_has, b_has, vouched = {
            "plaintext": (
                Security.plaintext(),
                Security.plaintext(),
                "not encrypted, since both sides have --plaintext",
            ),
            "shared key": (
                Security.sealed(psk=b"s" * 32),
                Security.sealed(psk=b"s" * 32),
                "sealed; host_b has the shared key",
            ),
            "identities": (
                Security.sealed(identity=a_key, known={"host_b": b_key.public}),
                Security.sealed(identity=b_key, known={"host_a": a_key.public}),
                "sealed; host_b has the key that this side knows",
            ),
        }[name]
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint], security=(a_has, b_has)) as (a, _):
                assert (await a.connected()).vouched == vouched
                assert await program.ask(b"x" * 5000, a.port) == b"x" * 5000

    async def test_a_wrong_shared_key_is_found_out_and_told(self) -> None:
        settings = ServerSettings(verdict_within=0.3, longest_round_trip=0.0)
        with Service() as service:
            async with (
                a_server(settings=settings) as (server, notices),
                Host(
                    *(server.endpoint, "host_a", "host_b"),
                    connect=[service.endpoint],
                    security=Security.sealed(psk=b"s" * 32),
                ) as a,
                Host(
                    *(server.endpoint, "host_b", "host_a"),
                    listen="127.0.0.1",
                    security=Security.sealed(psk=b"t" * 32),
                ) as b,
            ):
                for host, other in ((a, "host_b"), (b, "host_a")):
                    failed = await host.notices.wait(note.AttemptFailed)
                    text = f"the host that answers as {other} does not have its key"
                    assert (failed.code, failed.text) == ("keys-differ", text)
                    assert host.notices.of(note.PathEstablished) == []
                assert (await notices.wait(note.PairFailed)).code == "no-path"

    async def test_plaintext_on_one_side_ends_the_attempt_for_both(self) -> None:
        async with (
            a_server() as (server, notices),
            Host(
                *(server.endpoint, "host_a", "host_b"),
                connect=DISCARD,
                security=Security.plaintext(),
            ) as a,
            Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
        ):
            at_a = (await a.notices.wait(note.AttemptFailed)).text
            at_b = (await b.notices.wait(note.AttemptFailed)).text
            advice = "give it to both or to neither"
            assert at_a == f"this side has --plaintext, host_b has not: {advice}"
            assert at_b == f"host_a has --plaintext, this side has not: {advice}"
            assert (await notices.wait(note.PairFailed)).code == "keys-differ"
            for host in (a, b):
                assert host.notices.of(note.HelloWentOut) == []


class TestPeer:
    """The other host goes and comes back; the local programs see a gap at most."""

    async def test_traffic_goes_on_after_the_peer_was_restarted(self) -> None:
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            ):
                for count in (1, 2):
                    async with Host(
                        server.endpoint, "host_b", "host_a", connect=[service.endpoint]
                    ):
                        await a.connected(count)
                        assert await program.ask(b"x", a.port) == b"x"
                    lost = await a.notices.wait(note.PathLost, count)
                    assert lost.reason == "the other side closed it"
                # Another process has sockets of its own at the service.
                assert len({source for _, source in service.asked}) == 2

    async def test_traffic_goes_on_after_the_listening_side_was_restarted(self) -> None:
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_b", "host_a", connect=[service.endpoint]) as b,
            ):
                for count in (1, 2):
                    async with Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a:
                        await a.connected()
                        assert await program.ask(b"x", a.port) == b"x"
                    await b.notices.wait(note.PathLost, count)
            assert len({source for _, source in service.asked}) == 2

    @linux_only
    async def test_traffic_goes_on_after_the_peer_was_killed_and_started_again(self) -> None:
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            ):
                words = ("python3", "traversal_client.py", "--server", str(server.endpoint))
                names = ("--id", "host_b", "-r", "host_a", "--connect", str(service.endpoint))
                for count in (1, 2):
                    async with Command.run(*words, *names) as b:
                        await b.line("connected to")
                        await a.connected(count)
                        assert await program.ask(b"x", a.port) == b"x"
                        assert await b.end(signal.SIGKILL) == -signal.SIGKILL
                assert len(a.notices.of(note.PathLost)) == 1

    async def test_a_peer_that_stops_answering_is_noticed_and_found_again(
        self,
    ) -> None:
        hasty = ClientSettings().with_consent(0.5)
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint], settings=hasty) as (a, b):
                asyncio.get_running_loop().remove_reader(b.socket.sock)  # b is deaf
                for host in (a, b):
                    await host.connected(2)
                lost = [*a.notices.of(note.PathLost), *b.notices.of(note.PathLost)]
                assert note.PathLost("the other side has stopped answering") in lost
                assert await program.ask_again(b"x", a.port) == b"x"
