"""`--allow`, `--tokens` and `--server-token` with the real commands, and what each mistake says."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from nat_traversal.crypto.keyfile import SERVER_TOKEN, as_text
from tests.loopback.cli.test_reload import listening
from tests.loopback.cli.words import CLIENT, SERVER, host_a
from tests.loopback.command import Command
from tests.loopback.support import unused
from tests.unit.counterpart import some_keys

TOKEN, OTHER = (as_text(SERVER_TOKEN, key) for key in some_keys("token", "other token"))


def secret(path: Path, text: str) -> Path:
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


async def test_only_listed_pairs_with_a_token_get_in_and_a_reload_changes_that(
    tmp_path: Path,
) -> None:
    tokens, own = secret(tmp_path / "tokens", TOKEN), secret(tmp_path / "own", TOKEN)
    allow, file = tmp_path / "allow", tmp_path / "server.toml"
    allow.write_text("host_a host_b\n")
    file.write_text(f'port = 0\nhost = "127.0.0.1"\nallow = "{allow}"\ntokens = "{tokens}"\n')
    async with Command.run(*SERVER, "--json", "--config", str(file)) as server:
        at = await listening(server)
        words = (*host_a(at), "--listen", str(unused()), "--json")
        async with Command.run(*words, "--once") as client:
            assert await client.end() == 5
            assert client.told[-2].startswith(
                "the server refused: the server takes clients with a token only: ask its operator"
            )
        async with Command.run(*words, "--once", NAT_TRAVERSAL_SERVER_TOKEN=OTHER) as client:
            assert await client.end() == 5
            assert any("does not know the client's token" in line for line in client.told)
        async with Command.run(*words, "--server-token", str(own)) as client:
            await client.event("registered-at-server")
            allow.write_text("host_c host_b\n")
            server.process.send_signal(signal.SIGHUP)
            assert (await server.event("reloaded"))["changed"] == ["access"]
            lost = await client.event("server-lost")
            assert lost["reason"] == (
                "the server's list does not let 'host_a' pair with 'host_b': ask its operator for a line"
            )
            allow.write_text("host_c\n")
            server.process.send_signal(signal.SIGHUP)
            failed = await server.event("reload-failed")
            assert failed["text"].startswith(f"{allow}, line 1: write after 'host_c' with whom")
            assert await client.end(signal.SIGTERM) == 0
        assert await server.end(signal.SIGTERM) == 0
    said = "".join([*server.told, *client.told, str(server.events), str(client.events)])
    assert TOKEN not in said
    assert TOKEN.removeprefix(SERVER_TOKEN) not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--server-token", TOKEN), "takes the name of a file, not a token: every user"),
        (("--server-token", "/nowhere"), "/nowhere: No such file or directory"),
    ],
)
async def test_client_refuses_what_cannot_be_a_token(words: tuple[str, ...], said: str) -> None:
    common = (*CLIENT, "--server", "127.0.0.1", "--id", "a", "-r", "b", "--listen", str(unused()))
    async with Command.run(*common, *words) as client:
        assert await client.end() == 2
        assert said in client.told[-1]


async def test_token_that_others_can_read_is_refused_at_both_ends(tmp_path: Path) -> None:
    file = secret(tmp_path / "token", TOKEN)
    file.chmod(0o644)
    common = (*CLIENT, "--server", "127.0.0.1", "--id", "a", "-r", "b", "--listen", str(unused()))
    for words in (
        (*common, "--server-token", str(file)),
        (*SERVER, "--port", "0", "--tokens", str(file)),
    ):
        async with Command.run(*words) as command:
            assert await command.end() == 2
            assert command.told == [f"error: {file} can be read by others: chmod 600 {file}"]


async def test_gentoken_prints_a_token_that_a_server_takes(tmp_path: Path) -> None:
    async with Command.run("python3", "-m", "nat_traversal", "gentoken") as made:
        assert made.process.stdout is not None
        line = (await made.process.stdout.read()).decode()
        assert await made.end() == 0
    assert line.startswith(SERVER_TOKEN)
    file = secret(tmp_path / "tokens", line)
    async with Command.run(*SERVER, "--json", "--port", "0", "--tokens", str(file)) as server:
        await listening(server)
        assert await server.end(signal.SIGTERM) == 0
