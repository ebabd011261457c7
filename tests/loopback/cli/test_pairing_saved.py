"""`invite --save` and `accept --save`: both sides' files have the other host, and a client finds it there again."""

from __future__ import annotations

import os
import re
import signal
import stat
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nat_traversal import Endpoint
from nat_traversal.arguments.config import MAX_SIZE
from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.client_arguments import client_options, client_options_of
from nat_traversal.cli.peers.file import read_file
from nat_traversal.cli.peers.saving import Saving
from nat_traversal.crypto.keyfile import IDENTITY, as_text
from nat_traversal.errors import UsageError
from nat_traversal.wire.turn import TurnServer, parse_turn
from tests.certificates import Authority
from tests.loopback.cli.words import CLIENT, SERVER, listening
from tests.loopback.command import Command
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused

INVITE = ("nat-traversal", "invite", "--json")
ACCEPT = ("nat-traversal", "accept", "--json")
WORDS = ("--server", "192.0.2.2", "--id", "home", "-r", "friend", "--listen", "5301")
OPTIONS = client_options_of(client_options(Parser()).parse_args(WORDS))


@pytest.fixture
async def server() -> AsyncIterator[Endpoint]:
    async with Command.run(*SERVER, "--port", "0") as running:
        yield Endpoint("127.0.0.1", (await listening(running)).port)


def state(folder: Path) -> str:
    """A host's own state."""
    folder.mkdir(exist_ok=True)
    return str(folder)


async def test_both_files_connect_the_same_hosts_again(server: Endpoint, tmp_path: Path) -> None:
    home, away = tmp_path / "home.toml", tmp_path / "new" / "away.toml"
    older = "# mine\n[set]\nhello-repeats = 7\n"
    home.write_text(
        f'[[peer]]\nid = "old"\nas = "x"\nserver = "{server}"\nconnect = "127.0.0.1:9"\n{older}'
    )
    home.chmod(0o640)
    a, b = state(tmp_path / "a"), state(tmp_path / "b")
    with Service() as service, Program() as program:
        local = unused()
        words = ("--server", str(server), "--service", f"game:connect={service.endpoint}")
        async with Command.run(
            *INVITE, *words, "--save", str(home), XDG_STATE_HOME=a, XDG_RUNTIME_DIR=a
        ) as inviter:
            line = (await inviter.event("invitation"))["line"]
            listen = ("--service", f"game:listen={local}", "--save", str(away))
            async with Command.run(
                *ACCEPT, *listen, typed=line, XDG_STATE_HOME=b, XDG_RUNTIME_DIR=b
            ) as guest:
                assert (await inviter.event("saved"))["file"] == str(home)
                assert (await guest.event("saved"))["file"] == str(away)
                await guest.event("services-ready")
                assert await program.ask(b"1", local) == b"1"
                assert await guest.end(signal.SIGTERM) == 0
            assert await inviter.end(signal.SIGTERM) == 0
        assert [stat.S_IMODE(each.stat().st_mode) for each in (home, away)] == [0o640, 0o600]
        assert older in home.read_text()
        assert "#" + line.partition("#")[2] not in home.read_text() + away.read_text()
        async with (
            Command.run(*CLIENT, "--json", "--config", str(home), XDG_RUNTIME_DIR=a) as one,
            Command.run(*CLIENT, "--json", "--config", str(away), XDG_RUNTIME_DIR=b) as other,
        ):
            await other.event("services-ready")
            assert await program.ask(b"2", local) == b"2"
            for each in (one, other):
                assert await each.end(signal.SIGTERM) == 0
        vouched = [each["vouched"] for each in other.events if each["event"] == "path-established"]
        assert vouched[0].endswith("has the key that this side knows")


async def test_a_client_that_runs_with_the_file_takes_the_new_peer_over(
    server: Endpoint, tmp_path: Path
) -> None:
    file, runtime = tmp_path / "home.toml", state(tmp_path / "run")
    file.write_text(
        f'server = "{server}"\nid = "home"\n[[peer]]\nid = "old"\nconnect = "127.0.0.1:9"\n'
    )
    with Service() as service, Program() as program:
        local = unused()
        async with Command.run(
            *CLIENT, "--json", "--config", str(file), XDG_RUNTIME_DIR=runtime
        ) as client:
            await client.line("registered as home")
            words = (
                "--server",
                str(server),
                "--connect",
                str(service.endpoint),
                "--save",
                str(file),
            )
            async with Command.run(
                *INVITE, *words, XDG_STATE_HOME=state(tmp_path / "a"), XDG_RUNTIME_DIR=runtime
            ) as inviter:
                line = (await inviter.event("invitation"))["line"]
                guest_state = state(tmp_path / "b")
                async with Command.run(
                    *ACCEPT, "--listen", str(local), typed=line, XDG_STATE_HOME=guest_state
                ) as guest:
                    assert await inviter.end() == 0
                    await guest.line("ready: send")
                    assert await program.ask(b"1", local) == b"1"
                    assert await guest.end(signal.SIGTERM) == 0
            assert await client.end(signal.SIGTERM) == 0
    assert any(line.startswith("reloaded: guest-") for line in inviter.told)


async def test_a_pair_that_cannot_be_saved_any_more_connects_all_the_same(
    server: Endpoint, tmp_path: Path
) -> None:
    file, a = tmp_path / "home.toml", state(tmp_path / "a")
    with Service() as service:
        words = ("--server", str(server), "--connect", str(service.endpoint), "--save", str(file))
        async with Command.run(*INVITE, *words, XDG_STATE_HOME=a, XDG_RUNTIME_DIR=a) as inviter:
            line = (await inviter.event("invitation"))["line"]
            file.write_text("no TOML")
            b = state(tmp_path / "b")
            guest_words = ("--listen", str(unused()))
            async with Command.run(*ACCEPT, *guest_words, typed=line, XDG_STATE_HOME=b) as guest:
                told = await inviter.line("has not been saved")
                assert f"{file}:1: no TOML" in told
                await inviter.line("the next time, without an invitation: nat-traversal client")
                await inviter.line("ready: ")
                assert await guest.end(signal.SIGTERM) == 0
            assert await inviter.end(signal.SIGTERM) == 0
    assert file.read_text() == "no TOML"
    assert not [each for each in inviter.events if each["event"] == "saved"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tlss = true", "did you mean tls?"),
        (
            '[[peer]]\nid = "friend"\nas = "x"\nserver = "192.0.2.2"\nlisten = 1\n',
            "friend has a [[peer]]",
        ),
        ('[[peer]]\nid = "y"\nas = "x"\nserver = "192.0.2.2"\nlisten = 5301\n', "have one port"),
    ],
)
async def test_a_file_that_has_no_room_is_told_before_anything_begins(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "home.toml"
    file.write_text(text)
    words = ("--server", "192.0.2.2", "-r", "friend", "--listen", "5301", "--save", str(file))
    async with Command.run(*INVITE, *words, XDG_STATE_HOME=state(tmp_path / "a")) as inviter:
        assert await inviter.end() == 2
    assert says in inviter.told[-1]
    assert not inviter.events
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is no file: give its path or its name, or --save alone"),
        ("new/", "is no file: give its path or its name"),
        ("new/" + "x" * 300, "a name of more than 250 octets: shorten it"),
        ("x" * 300, "a name of more than 250 octets: shorten it"),
        ("~no-such-user/new/x.toml", "the home of ~no-such-user is not known"),
        ("./folder", "Is a directory"),
        ("./pipe", "this is no regular file: name one"),
        ("file/x.toml", "Not a directory"),
        ("full.toml", "longer than 1048576 octets: give --save another file"),
    ],
)
def test_a_name_that_no_file_can_have_is_told_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("file").touch()
    Path("full.toml").write_text("#" * MAX_SIZE)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=re.escape(says)):
        Saving(name, {}).check(OPTIONS, str(tmp_path / "identity"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "says"), [(b"k\xff/id", "names in UTF-8 only"), (b"k\x7f/\x01id", "")]
)
def test_a_file_s_name_of_any_octets_is_saved_or_refused(
    tmp_path: Path, name: bytes, says: str
) -> None:
    saving = Saving(str(tmp_path / "x.toml"), {})
    identity = tmp_path / os.fsdecode(name)
    if says:
        with pytest.raises(UsageError, match=says):
            saving.check(OPTIONS, str(identity))
        return
    identity.parent.mkdir()
    identity.write_text(as_text(IDENTITY, bytes(range(32))))
    identity.chmod(0o600)
    saving.save(OPTIONS, str(identity), bytes(31) + b"\x09")
    (entry,) = tomllib.loads(saving.path.read_text())["peer"]
    assert entry["identity"] == str(identity)


def test_a_folder_is_made_only_once_there_is_a_peer_to_save(tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    identity.write_text(as_text(IDENTITY, bytes(range(32))))
    identity.chmod(0o600)
    file = tmp_path / "new" / ("x" * 245 + ".toml")
    saving = Saving(str(file), {})
    saving.check(OPTIONS, str(identity))
    assert not file.parent.exists()
    saving.save(OPTIONS, str(identity), bytes(31) + b"\x09")
    assert 'id = "friend"' in file.read_text()


@pytest.mark.parametrize(
    ("named", "there"),
    [(False, False), (False, True), (True, True)],
    ids=["dangling-path", "path", "name"],
)
def test_a_link_to_the_file_stays_one_and_keeps_its_name(
    tmp_path: Path, *, named: bool, there: bool
) -> None:
    identity = tmp_path / "identity"
    identity.write_text(as_text(IDENTITY, bytes(range(32))))
    identity.chmod(0o600)
    link, file = tmp_path / "nat-traversal" / "home.toml", tmp_path / "kept" / "other.toml"
    link.parent.mkdir()
    link.symlink_to(file)
    if there:
        file.parent.mkdir()
        file.write_text("# mine\n")
    given = "home" if named else str(link)
    saving = Saving(given, {"XDG_CONFIG_HOME": str(tmp_path)})
    saving.check(OPTIONS, str(identity))
    saving.save(OPTIONS, str(identity), bytes(31) + b"\x09")
    assert (saving.path, link.is_symlink(), file.is_symlink()) == (link, True, False)
    assert 'id = "friend"' in file.read_text()
    assert file.read_text().startswith("# mine") == there


def test_a_turn_server_is_saved_with_its_files_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("identity").write_text(as_text(IDENTITY, bytes(range(32))))
    Path("credentials").write_text("lab\nsecret\n")
    for name in ("identity", "credentials"):
        Path(name).chmod(0o600)
    Authority.new().issued.certificate_file(Path("ca.pem"))
    uri = "turns:turn.example:443"
    words = ("--turn", uri, "--turn-credentials", "credentials", "--turn-ca", "ca.pem")
    options = client_options_of(client_options(Parser()).parse_args([*WORDS, *words]))
    saving = Saving(str(tmp_path / "new" / "x.toml"), {})
    saving.check(options, "identity")
    saving.save(options, "identity", bytes(31) + b"\x09")
    _, kept = read_file(saving.path, client_options(Parser()).parse_args([]), {})
    (plan,) = kept.plans
    pem = Path("ca.pem").read_text(encoding="ascii")
    assert plan.turn == TurnServer(parse_turn(uri), "lab", "secret", pem)
    assert "secret" not in saving.path.read_text()


async def test_turn_options_that_cannot_be_are_told_before_an_invitation(tmp_path: Path) -> None:
    words = ("--server", "192.0.2.2", "--listen", "5301", "--turn", "turn:turn.example")
    missing = ("--turn-credentials", str(tmp_path / "none"))
    async with Command.run(*INVITE, *words, *missing, XDG_STATE_HOME=str(tmp_path)) as inviter:
        assert await inviter.end() == 2
    assert inviter.told == [f"error: {missing[1]}: No such file or directory"]
    assert not inviter.events
