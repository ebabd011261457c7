"""TLS through the public commands, as processes."""

from __future__ import annotations

import signal
from pathlib import Path

from nat_traversal import Endpoint
from tests.certificates import Authority
from tests.loopback.cli.words import CLIENT, SERVER
from tests.loopback.command import Command
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused


async def fingerprint(server: Command) -> str:
    return (await server.line("clients know this server by")).split()[-1]


async def port(server: Command) -> int:
    line = await server.line("listening on")
    assert line.endswith(", TLS and UDP")
    return Endpoint("127.0.0.1", int(line.split(":")[1].split(",")[0])).port


async def test_a_server_that_made_its_certificate_is_known_by_what_it_printed(
    tmp_path: Path,
) -> None:
    words = (*SERVER, "--host", "127.0.0.1", "--port", "0", "--tls")
    state = str(tmp_path / "state")
    local = unused()
    async with Command.run(*words, STATE_DIRECTORY=state) as server:
        where = await port(server)
        printed = await fingerprint(server)
        to = ("--server", f"127.0.0.1:{where}", "--server-fingerprint", printed)
        with Service() as service, Program() as program:
            async with (
                Command.run(
                    *(*CLIENT, *to, "--id", "host_a", "-r", "host_b", "--listen", str(local))
                ) as a,
                Command.run(
                    *(*CLIENT, *to, "--id", "host_b", "-r", "host_a"),
                    *("--connect", str(service.endpoint)),
                ),
            ):
                await a.line("connected to 127.0.0.1:")
                assert await program.ask(b"hello", local) == b"hello"
        assert await server.end(signal.SIGTERM) == 0
    async with Command.run(*words, STATE_DIRECTORY=state) as again:
        assert await fingerprint(again) == printed
    async with Command.run(*words, "--state", str(tmp_path / "other")) as other:
        assert await fingerprint(other) != printed


async def test_a_certificate_by_an_authority_and_every_wrong_client(tmp_path: Path) -> None:
    authority = Authority.new()
    issued = authority.issue("localhost")
    ca = authority.issued.certificate_file(tmp_path / "ca.crt")
    files = (
        *("--tls-cert", issued.certificate_file(tmp_path / "server.crt")),
        *("--tls-key", issued.key_file(tmp_path / "server.key")),
    )
    async with Command.run(*SERVER, "--host", "127.0.0.1", "--port", "0", *files) as server:
        where = await port(server)
        client = (*CLIENT, "-r", "host_b", "--id", "host_a", "--connect", "127.0.0.1:9", "--once")
        named, numbered = f"localhost:{where}", f"127.0.0.1:{where}"
        async with Command.run(*client, "--server", named, "--ca", ca) as good:
            await good.line("registered as host_a")
        for words, status, said in [
            (("--server", numbered, "--ca", ca), 3, "is not for '127.0.0.1'"),
            (("--server", named, "--tls"), 3, "signed by no CA that this side trusts"),
            (("--server", named, "--server-fingerprint", "00" * 32), 3, "has the fingerprint "),
            (("--server", named), 5, "the server refused: this server speaks TLS: give --server-f"),
            (("--server", named, "--ca", str(tmp_path / "none")), 2, "none: No such file or dir"),
        ]:
            async with Command.run(*client, *words) as wrong:
                assert await wrong.end() == status
                assert any(said in line for line in wrong.told), wrong.told


async def test_unusable_files_end_a_server_with_one_line(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    async with Command.run(*SERVER, "--tls-cert", missing, "--tls-key", missing) as server:
        assert await server.end() == 2
        assert server.told == [f"error: {missing}: No such file or directory"]
    (tmp_path / "file").touch()
    async with Command.run(*SERVER, "--tls", "--state", str(tmp_path / "file")) as server:
        assert await server.end() == 2
        assert len(server.told) == 1
        assert "cannot be made" in server.told[0]
