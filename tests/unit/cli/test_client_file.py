"""A client's `--config`: many peers in one file, and every mistake of it with its place and a remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.client_arguments import client_options
from nat_traversal.cli.config_file import merged
from nat_traversal.cli.peers.file import ClientFile
from nat_traversal.cli.services import NamedEnd
from nat_traversal.crypto.keyfile import IDENTITY, PUBLIC, SHARED, as_text
from nat_traversal.errors import ConfigError, UsageError
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.services import Side
from tests.certificates import Authority

KEY = as_text(PUBLIC, bytes(31) + b"\x09")
HEAD = 'server = "192.0.2.2"\nid = "hub"\n'
MANY_SERVICES = "".join(
    f'[[peer.service]]\nname = "s{number}"\nlisten = {6000 + number}\n' for number in range(128)
)
LISTENS = '[[peer.service]]\nname = "dns"\nlisten = 5300\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "client.toml"


def read(file: Path, text: str, *words: str) -> ClientFile:
    file.write_text(text, encoding="utf-8")
    options = client_options(Parser()).parse_args(["--config", str(file), *words])
    found = merged(options).client_file
    assert isinstance(found, ClientFile)
    return found


def mistakes(file: Path, text: str, *words: str) -> list[str]:
    """All that is wrong, without the file's path."""
    with pytest.raises(UsageError) as raised:
        read(file, text, *words)
    assert isinstance(raised.value, ConfigError)
    return [each.replace(f"{file}:", "line ") for each in raised.value.mistakes]


def a_secret(file: Path, kind: str, mode: int = 0o600) -> Path:
    file.write_text(as_text(kind, bytes(range(32))), encoding="utf-8")
    file.chmod(mode)
    return file


def test_each_peer_has_its_own_and_what_the_whole_file_says(file: Path) -> None:
    a_secret(file.parent / "anna.key", SHARED)
    a_secret(file.parent / "own", IDENTITY)
    text = f"""
        server = "192.0.2.2"
        id = "hub"
        relay = "early"
        [set]
        announce-first = "300ms"
        hello-repeats = 7

        [[peer]]
        id = "anna"
        key-file = "anna.key"
        [[peer.service]]
        name = "game"
        listen = 34197
        [[peer.service]]
        name = "dns"
        connect = "127.0.0.1:53"

        [[peer]]
        id = "ben"
        as = "hub-ben"
        identity = "own"
        key = "{KEY}"
        relay = "never"
        listen = "127.0.0.9:7"
        [peer.set]
        hello-repeats = 8
    """
    anna, ben = read(file, text).plans
    assert (anna.options.id, anna.peer, ben.options.id, ben.peer) == (
        "hub",
        "anna",
        "hub-ben",
        "ben",
    )
    assert anna.options.server == ben.options.server == HostPort("192.0.2.2", 6545)
    assert anna.options.services == (
        NamedEnd("game", Side.LISTEN, HostPort("127.0.0.1", 34197)),
        NamedEnd("dns", Side.CONNECT, HostPort("127.0.0.1", 53)),
    )
    assert (ben.options.services, ben.options.listen) == ((), HostPort("127.0.0.9", 7))
    assert (anna.options.relaying, ben.options.relaying) == (Relaying.EARLY, Relaying.NEVER)
    timings = [
        (p.options.settings.announce_first, p.options.settings.hello_repeats) for p in (anna, ben)
    ]
    assert timings == [(0.3, 7), (0.3, 8)]
    assert (anna.keys.shared, anna.keys.identity) == (bytes(range(32)), None)
    assert ben.keys.identity == bytes(range(32))
    assert ben.keys.known == {"ben": bytes(31) + b"\x09"}


def test_the_command_line_counts_more(file: Path) -> None:
    text = f'{HEAD}relay = "early"\n[[peer]]\nid = "anna"\n{LISTENS}'
    (anna,) = read(file, text, "--relay", "never", "--server", "192.0.2.3").plans
    assert (anna.options.relaying, anna.options.server.host) == (Relaying.NEVER, "192.0.2.3")


def test_every_mistake_is_told_in_the_order_of_its_line(file: Path) -> None:
    text = """serverr = "192.0.2.2"
server = 7.5
json = "yes"

[[peer]]
key-fil = "anna"
[[peer.service]]
name = "dns"
listn = 5300
[[peer.service]]
listen = 5300
[[peer.service]]
name = "both"
listen = 1
connect = "127.0.0.1:2"
[[peer.service]]
name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
listen = 1
[[peer.service]]
name = "true"
listen = true
"""
    told = mistakes(file, text)
    assert [each.partition(": ")[0] for each in told] == [
        f"line {number}" for number in (1, 2, 3, 5, 5, 6, 9, 10, 12, 16, 21)
    ], told
    says = "\n".join(told)
    for words in (
        "there is no option 'serverr': did you mean server?",
        "write HOST:PORT or HOST",
        "json must be true or false, without quotes",
        'this peer has no id: write id = "NAME" below it',
        'this host has no id: write id = "NAME" before the first [[peer]]',
        "there is no option 'key-fil': did you mean key-file?",
        "a service has no 'listn': did you mean listen?",
        'this service has no name: write name = "NAME"',
        "a service needs one of listen = PORT and connect = HOST:PORT, and not both",
        "1 to 32 letters",
        "listen must be a text in quotes or a number",
    ):
        assert words in says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f'{HEAD}[[peer]]\nid = "anna"\npeer-key = "{KEY}"\n{LISTENS}',
            "line 5: a [[peer]] has key in the place of peer-key",
        ),
        (HEAD, "line  no peer: write [[peer]]"),
        (f"{HEAD}peer = 1", "line 3: peer must be a table for each peer: write [[peer]]"),
        (
            f'{HEAD}[[peer]]\nid = "hub"\n{LISTENS}',
            "line 4: as and id are both 'hub': the two hosts need",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"',
            "line 3: nothing to forward: give listen PORT, connect HOST:PORT",
        ),
        (f'id = "hub"\n[[peer]]\nid = "a"\n{LISTENS}', 'line 2: no server: write server = "HOST"'),
        (
            f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}[[peer]]\nid = "anna"\nas = "x"\nconnect = "127.0.0.1:1"',
            "line 9: anna has a [[peer]] before: put its services there",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}[[peer]]\nid = "ben"\nas = "x"\n{LISTENS}',
            "line 13: service dns of ben (listen 127.0.0.1:5300) and service dns of anna (listen",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\nlisten = "0.0.0.0:5300"\n{LISTENS}',
            "line 8: service dns of anna (listen 127.0.0.1:5300) and listen 0.0.0.0:5300 of anna have one port",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}[[peer.service]]\nname = "dns"\nlisten = 5301\n',
            "line 9: service dns:listen=127.0.0.1:5300 and service dns:listen=127.0.0.1:5301 have one name",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}{LISTENS}',
            "line 9: service dns:listen=127.0.0.1:5300 and service dns:listen=127.0.0.1:5300 have one name",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}[[peer.service]]\nname = "game"\nlisten = 5300\n',
            "line 10: service dns:listen=127.0.0.1:5300 and service game:listen=127.0.0.1:5300 have one port",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\n{MANY_SERVICES}',
            "line 386: more than 127 times service: run a second client",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\nkey-file = "none"\n{LISTENS}',
            "line 5: {folder}/none: No such file or directory",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\nkey-file = "open"\n{LISTENS}',
            "line 5: {folder}/open can be read by others: chmod 600 {folder}/open",
        ),
        (
            f'{HEAD}[[peer]]\nid = "anna"\nkey = "{KEY}"\n{LISTENS}',
            "line 5: key needs this host's own key: give identity FILE",
        ),
        (
            f'{HEAD}quiet = true\nverbose = true\n[[peer]]\nid = "anna"\n{LISTENS}',
            "line 3: quiet and verbose exclude each other",
        ),
    ],
)
def test_a_mistake_has_its_line_and_its_remedy(file: Path, text: str, says: str) -> None:
    a_secret(file.parent / "open", SHARED, 0o644)
    (told,) = mistakes(file, text)
    assert says.format(folder=file.parent) in told


def test_a_lacking_package_is_one_line_at_the_first_service_that_needs_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nat_traversal.cli.services.find_spec", lambda _: None)
    tcp = '[[peer.service]]\nname = "ssh"\nconnect = "tcp:127.0.0.1:22"\n'
    text = f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}{tcp}[[peer]]\nid = "ben"\n{tcp}'
    (told,) = mistakes(file, text)
    assert told.startswith("line 8: TCP services need one more package: pip install ")


@pytest.mark.parametrize(
    "option",
    ["identity", "key-file", "ca", "server-token", "key-log", "turn-credentials", "turn-ca"],
)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a\\u0000b", "no file has a NUL in its name"),
        ("~no-such-user/x", "the home of ~no-such-user is not known: write the whole path"),
        ("folder", "folder"),
        ("pipe", "pipe: this is no regular file: name one"),
        ("folder/none/x", "folder/none"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(
    file: Path, option: str, name: str, says: str
) -> None:
    (file.parent / "folder").mkdir()
    os.mkfifo(file.parent / "pipe", 0o600)
    known = f'key = "{KEY}"\n' if option == "identity" else ""
    peer = f'[[peer]]\nid = "anna"\n{known}'
    turn = 'turn = "turns:turn.example"\n' if option.startswith("turn-") else ""
    (told,) = mistakes(file, f'{HEAD}{peer}{option} = "{name}"\n{turn}{LISTENS}')
    assert told.startswith("line 6: " if known else "line 5: ")
    assert says in told


@pytest.mark.parametrize("name", ["a\\u0000b", "~no-such-user/x"])
def test_a_name_of_the_whole_file_is_told_once(file: Path, name: str) -> None:
    peer = f'[[peer]]\nid = "anna"\nkey = "{KEY}"\n{LISTENS}'
    (told,) = mistakes(file, f'{HEAD}identity = "{name}"\n{peer}')
    assert told.startswith("line 3: ")


def test_a_secret_of_the_whole_file_is_told_once(file: Path) -> None:
    a_secret(file.parent / "open.key", SHARED, 0o644)
    peers = (f'[[peer]]\nid = "{peer}"\nlisten = {5300 + n}\n' for n, peer in enumerate("abc"))
    turn = 'turn = "turn:turn.example"\nturn-credentials = "open.key"\n'
    (told,) = mistakes(file, f"{HEAD}{turn}{''.join(peers)}")
    assert told.startswith("line 4: ")


def test_a_ca_without_a_certificate_is_told_and_one_with_it_is_right(file: Path) -> None:
    text = f'{HEAD}ca = "ca.pem"\n[[peer]]\nid = "anna"\n{LISTENS}'
    authority = file.parent / "ca.pem"
    authority.write_text("no certificate")
    (told,) = mistakes(file, text)
    assert told == f"line 3: ca {authority}: no certificate in PEM form is in it"
    Authority.new().issued.certificate_file(authority)
    assert len(read(file, text).plans) == 1


def test_a_key_log_is_not_made_by_a_look_at_the_file(file: Path) -> None:
    read(file, f'{HEAD}key-log = "keys"\n[[peer]]\nid = "anna"\n{LISTENS}')
    assert not (file.parent / "keys").exists()


def test_options_of_one_peer_have_no_place_beside_a_file(file: Path) -> None:
    text = f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}'
    (told,) = mistakes(file, text, "-r", "ben")
    assert told == f"--remote has no place beside --config: a [[peer]] of {file} says that"


def test_a_limit_of_the_wait_for_one_peer_has_no_place_beside_a_file(file: Path) -> None:
    text = f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}'
    (told,) = mistakes(file, text, "--wait", "5s")
    assert told.startswith("--wait has no place beside --config")


def test_no_key_shows_where_a_plan_is_told(file: Path) -> None:
    a_secret(file.parent / "anna.key", SHARED)
    text = f'{HEAD}[[peer]]\nid = "anna"\nkey-file = "anna.key"\n{LISTENS}'
    assert repr(bytes(range(32))) not in repr(read(file, text))


@pytest.mark.parametrize("name", [None, "client", "other"])
def test_a_file_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    folder = tmp_path / "nat-traversal"
    folder.mkdir()
    (folder / f"{name or 'client'}.toml").write_text(f'{HEAD}[[peer]]\nid = "anna"\n{LISTENS}')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    words = [] if name is None else ["--config", name]
    options = merged(client_options(Parser()).parse_args(words))
    assert [plan.peer for plan in options.client_file.plans] == ["anna"]


@pytest.mark.parametrize("name", ["nowhere", "x" * 300])
def test_a_name_without_a_file_is_told_with_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "nat-traversal").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    options = client_options(Parser()).parse_args(["--config", name])
    with pytest.raises(UsageError) as raised:
        merged(options)
    assert f"{tmp_path}/nat-traversal/{name}.toml" in str(raised.value)
    assert f"/etc/nat-traversal/{name}.toml" in str(raised.value)


def test_a_hexadecimal_number_that_is_too_long_is_told_with_its_line(file: Path) -> None:
    text = f'{HEAD}mtu = 0x{"F" * 6000}\n[[peer]]\nid = "anna"\n{LISTENS}'
    assert mistakes(file, text) == ["line 3: mtu: a number is too long: shorten it"]
