"""Keys and `--plaintext` through the public commands: who connects, and what the others are told."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from nat_traversal import Endpoint
from nat_traversal.crypto import NEEDS_PACKAGE
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.key_log import LABEL
from nat_traversal.crypto.keyfile import IDENTITY, PUBLIC, SHARED, as_text
from tests.loopback.cli.words import CLIENT
from tests.loopback.command import Command
from tests.loopback.hosts import a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused


@dataclass(frozen=True)
class Keys:
    """A folder of files with keys: two shared ones, and identities of `a`, `b` and a stranger."""

    folder: Path

    def shared(self, number: int = 1, mode: int = 0o600) -> tuple[str, str]:
        return "--key-file", self._file(f"shared{number}", SHARED, bytes([number]) * 32, mode)

    def identity(self, own: str, peer: str) -> tuple[str, ...]:
        file = self._file(own, IDENTITY, _private(own))
        return ("--identity", file, "--peer-key", self.public(peer))

    @staticmethod
    def public(name: str) -> str:
        return as_text(PUBLIC, KeyPair(_private(name)).public)

    def _file(self, name: str, kind: str, key: bytes, mode: int = 0o600) -> str:
        path = self.folder / name
        path.write_text(as_text(kind, key))
        path.chmod(mode)
        return str(path)


def _private(name: str) -> bytes:
    return sha256(name.encode()).digest()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@asynccontextmanager
async def two(
    server: Endpoint, a: tuple[str, ...], b: tuple[str, ...], *, service: Endpoint, local: Endpoint
) -> AsyncIterator[tuple[Command, Command]]:
    """A client on each side, with these options."""
    common = (*CLIENT, "--once", "--server", str(server))
    async with (
        Command.run(
            *(*common, "--id", "host_a", "-r", "host_b", "--listen", str(local), *a)
        ) as host_a,
        Command.run(
            *(*common, "--id", "host_b", "-r", "host_a", "--connect", str(service), *b)
        ) as host_b,
    ):
        yield host_a, host_b


class TestBothSidesAlike:
    """The two sides' options fit: they connect, and datagrams pass."""

    async def connects(self, a: tuple[str, ...], b: tuple[str, ...], vouched: str) -> None:
        local = unused()
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                two(server.endpoint, a, b, service=service.endpoint, local=local) as hosts,
            ):
                await hosts[0].line(vouched)
                assert await program.ask(b"hello", local) == b"hello"

    async def test_no_key(self) -> None:
        await self.connects((), (), "sealed; the server vouches for host_b")

    async def test_a_shared_key_from_a_file(self, keys: Keys) -> None:
        await self.connects(keys.shared(), keys.shared(), "sealed; host_b has the shared key")

    async def test_identities(self, keys: Keys) -> None:
        a, b = keys.identity("a", "b"), keys.identity("b", "a")
        await self.connects(a, b, "sealed; host_b has the key that this side knows")

    async def test_identities_and_a_shared_key(self, keys: Keys) -> None:
        a = (*keys.identity("a", "b"), *keys.shared())
        b = (*keys.identity("b", "a"), *keys.shared())
        await self.connects(a, b, "sealed; host_b has its own key and the shared one")

    async def test_a_file_of_known_peers(self, keys: Keys) -> None:
        known = keys.folder / "known"
        known.write_text(f"host_b {keys.public('b')}  # over there\nhost_c {keys.public('c')}\n")
        a = (*keys.identity("a", "b")[:2], "--known-peers", str(known))
        await self.connects(a, keys.identity("b", "a"), "sealed; host_b has the key that this")

    async def test_plaintext(self) -> None:
        words = ("--plaintext",)
        await self.connects(words, words, "not encrypted, since both sides have --plaintext")


class TestSidesThatDoNotFit:
    """No path, one line that says why, and not one datagram to or from a program."""

    async def refuses(self, a: tuple[str, ...], b: tuple[str, ...], why: str) -> None:
        local = unused()
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                two(server.endpoint, a, b, service=service.endpoint, local=local) as hosts,
            ):
                program.send(b"hello", local)
                assert await hosts[0].end() == 4
                assert await hosts[1].end() == 4
                assert any(why in line for line in hosts[0].told), hosts[0].told
            assert service.asked == []

    async def test_two_shared_keys(self, keys: Keys) -> None:
        await self.refuses(
            keys.shared(1), keys.shared(2), "the host that answers as host_b does not have its key"
        )

    async def test_an_identity_that_is_not_the_known_one(self, keys: Keys) -> None:
        """The stranger is not even told that host_a is here."""
        local = unused()
        with Service() as service, Program() as program:
            a, b = keys.identity("a", "b"), keys.identity("stranger", "a")
            async with (
                a_server() as (server, _),
                two(server.endpoint, a, b, service=service.endpoint, local=local) as hosts,
            ):
                program.send(b"hello", local)
                assert await hosts[0].end() == 4
                why = "the host that answers as host_b does not have its key"
                assert any(why in line for line in hosts[0].told), hosts[0].told
                await hosts[1].line("waiting for host_a")
                assert await hosts[1].end(signal.SIGTERM) == 0
                assert not any("is here" in line for line in hosts[1].told), hosts[1].told
            assert service.asked == []

    async def test_a_key_on_one_side(self, keys: Keys) -> None:
        await self.refuses(keys.shared(), (), "this side asks for a shared key, host_b for no key")

    async def test_plaintext_on_one_side(self) -> None:
        await self.refuses(("--plaintext",), (), "this side has --plaintext, host_b has not")


class TestWrongUsage:
    """Status 2 and one line, before anything is sent."""

    async def refuses(self, *words: str, why: str, shared: str | None = None) -> None:
        environment = {} if shared is None else {"NAT_TRAVERSAL_KEY": shared}
        client = (*CLIENT, "--server", str(unused()), "--id", "host_a", "-r", "host_b")
        async with Command.run(
            *(*client, "--connect", "127.0.0.1:9", *words), cold=False, **environment
        ) as command:
            assert await command.end() == 2
            assert len(command.told) == 1
            assert why in command.told[0]

    async def test_a_file_that_others_can_read(self, keys: Keys) -> None:
        option, file = keys.shared(mode=0o644)
        await self.refuses(option, file, why=f"{file} can be read by others: chmod 600 {file}")

    async def test_a_word_instead_of_a_key(self) -> None:
        await self.refuses(why="no such key stands there", shared="swordfish")

    async def test_the_own_key_as_the_peers(self, keys: Keys) -> None:
        await self.refuses(
            *keys.identity("a", "a"), why="the public key given for host_b is this host's own"
        )

    async def test_options_that_do_not_go_together(self, keys: Keys) -> None:
        await self.refuses("--plaintext", *keys.shared(), why="--plaintext uses no key")

    @pytest.mark.parametrize("with_identity", [False, True])
    async def test_without_the_package_it_says_what_to_install(
        self, keys: Keys, *, with_identity: bool
    ) -> None:
        """It does not fall back to plaintext."""
        # -S: without site-packages, so without the package
        words = (
            *(sys.executable, "-S", "-m", "nat_traversal", "client", "--server", str(unused())),
            *("--id", "host_a", "-r", "host_b", "--connect", "127.0.0.1:9"),
            *(keys.identity("a", "b") if with_identity else ()),
        )
        async with Command.run(*words) as command:
            assert await command.end() == 2
            assert command.told == [f"error: {NEEDS_PACKAGE}"]


async def test_a_shared_key_from_the_environment_is_nowhere_in_the_output(keys: Keys) -> None:
    text = as_text(SHARED, bytes([1]) * 32)
    local = unused()
    common = (*CLIENT, "--verbose", "--json")
    with Service() as service, Program() as program:
        async with (
            a_server() as (server, _),
            Command.run(
                *(*common, "--server", str(server.endpoint), "--id", "host_a", "-r", "host_b"),
                *("--listen", str(local)),
                NAT_TRAVERSAL_KEY=text,
            ) as a,
            Command.run(
                *(*common, "--server", str(server.endpoint), "--id", "host_b", "-r", "host_a"),
                *("--connect", str(service.endpoint), *keys.shared()),
            ) as b,
        ):
            await a.event("path-established")
            await b.event("path-established")
            assert await program.ask(b"hello", local) == b"hello"
        said = repr((a.told, a.events, b.told, b.events))
    secret = bytes([1]) * 32
    for form in (text[len(SHARED) :], secret.hex(), repr(secret)):
        assert form not in said


class TestKeyLog:
    """`--key-log`: what it holds, and who may read it."""

    async def test_its_keys_open_what_the_client_sends(self, keys: Keys) -> None:
        file = keys.folder / "key.log"
        local = unused()
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                two(
                    server.endpoint,
                    ("--key-log", str(file)),
                    (),
                    service=service.endpoint,
                    local=local,
                ) as hosts,
            ):
                await hosts[0].line(f"the keys of this client's paths go to {file}")
                await hosts[0].line("sealed; the server vouches for host_b")
                assert await program.ask(b"hello", local) == b"hello"
        assert file.stat().st_mode & 0o777 == 0o600
        lines = file.read_text().splitlines()
        assert len(lines) >= 2
        assert [
            each
            for each in lines
            if not re.fullmatch(LABEL + " [0-9a-f]{8} [a-z0-9-]+ [0-9a-f]{64}", each)
        ] == []
        assert not any(line.split()[-1] in "".join(hosts[0].told) for line in lines)

    async def test_a_file_that_others_can_read_is_refused(self, keys: Keys) -> None:
        file = keys.folder / "open.log"
        file.touch(0o644)
        client = (*CLIENT, "--server", str(unused()), "--id", "host_a", "-r", "host_b")
        words = (*client, "--connect", "127.0.0.1:9", "--key-log", str(file))
        async with Command.run(*words) as command:
            assert await command.end() == 2
            assert (
                f"chmod 600 {file}" in command.told[0] or "can be read by others" in command.told[0]
            )
