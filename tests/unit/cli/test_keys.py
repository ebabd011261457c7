"""Keys named on the command line: what is read, what is refused, and that no secret is repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.keys import (
    KeyOptions,
    Keyring,
    add_options,
    key_options,
    read_keys,
    read_text,
)
from nat_traversal.crypto.keyfile import IDENTITY, PUBLIC, SHARED, as_text
from nat_traversal.errors import UsageError

KEY, OWN, PEER = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
PUBLIC_TEXT = as_text(PUBLIC, PEER)


def parse(*words: str) -> KeyOptions:
    parser = Parser()
    add_options(parser)
    return key_options(parser.parse_args(words))


def secret_file(path: Path, kind: str, key: bytes, mode: int = 0o600) -> str:
    path.write_text(as_text(kind, key) + "\n")
    path.chmod(mode)
    return str(path)


def test_a_file_that_is_too_long_is_refused_and_not_cut(tmp_path: Path) -> None:
    file, text = tmp_path / "tokens", "# comment\n" * 400_000 + "token for_this_id_alone\n"
    file.write_text(text)
    assert read_text(str(file)) == text
    file.write_text(text + " " * 400_000)
    with pytest.raises(UsageError, match="tokens: it has more than 4194304 characters"):
        read_text(str(file))


def test_nothing_given_is_no_key() -> None:
    assert read_keys(parse(), "host_b", {}) == Keyring()
    assert read_keys(parse("--plaintext"), "host_b", {}) == Keyring(plaintext=True)


def test_a_shared_key_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "key", SHARED, KEY)
    environment = {"NAT_TRAVERSAL_KEY": as_text(SHARED, KEY)}
    expected = Keyring(shared=KEY)
    assert read_keys(parse("--key-file", file), "host_b", {}) == expected
    assert read_keys(parse(), "host_b", environment) == expected
    with pytest.raises(UsageError, match="both given: leave one of them out"):
        read_keys(parse("--key-file", file), "host_b", environment)
    with pytest.raises(UsageError, match="--plaintext uses no key"):
        read_keys(parse("--plaintext"), "host_b", environment)


def test_an_identity_goes_with_the_peers_key(tmp_path: Path) -> None:
    own = secret_file(tmp_path / "own", IDENTITY, OWN)
    shared = secret_file(tmp_path / "key", SHARED, KEY)
    known = tmp_path / "known"
    known.write_text(f"host_b {PUBLIC_TEXT}\nhost_c {as_text(PUBLIC, KEY)}\n")
    by_key = read_keys(parse("--identity", own, "--peer-key", PUBLIC_TEXT), "host_b", {})
    assert by_key == Keyring(identity=OWN, known={"host_b": PEER})
    by_file = read_keys(parse("--identity", own, "--known-peers", str(known)), "host_b", {})
    assert by_file == Keyring(identity=OWN, known={"host_b": PEER, "host_c": KEY})
    both = parse("--identity", own, "--peer-key", PUBLIC_TEXT, "--key-file", shared)
    assert read_keys(both, "host_b", {}).shared == KEY
    with pytest.raises(UsageError, match="known has no key of host_d: add a line with host_d"):
        read_keys(parse("--identity", own, "--known-peers", str(known)), "host_d", {})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--identity", "f"), "--identity needs the other host's key"),
        (("--peer-key", PUBLIC_TEXT), "--peer-key needs this host's own key: give --identity"),
        (("--known-peers", "f"), "--known-peers needs this host's own key: give --identity"),
        (
            ("--identity", "f", "--peer-key", PUBLIC_TEXT, "--known-peers", "g"),
            "--peer-key and --known-peers both name the other host's key: give one",
        ),
        (("--plaintext", "--key-file", "f"), "leave out either it or --key-file"),
        (("--plaintext", "--identity", "f"), "leave out either it or --identity"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse(*words)


@pytest.mark.parametrize("option", ["--key-file", "--identity"])
@pytest.mark.parametrize("kind", [SHARED, IDENTITY])
def test_a_key_in_place_of_its_file_is_not_repeated(option: str, kind: str) -> None:
    text = as_text(kind, KEY)
    with pytest.raises(
        UsageError, match=f"{option} takes the name of a file, not a key"
    ) as refused:
        parse(option, text)
    assert text[len(kind) :] not in str(refused.value)


def test_a_private_key_in_place_of_a_public_one_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = as_text(IDENTITY, KEY)
    with pytest.raises(SystemExit, match="2"):
        parse("--peer-key", text)
    said = capsys.readouterr().err
    assert "--peer-key: another kind of key stands there" in said
    assert text[len(IDENTITY) :] not in said


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = secret_file(tmp_path / "key", SHARED, KEY, mode)
    with pytest.raises(UsageError, match=f"can be read by others: chmod 600 {file}"):
        read_keys(KeyOptions(key_file=file), "host_b", {})


def test_a_credential_of_systemd_is_as_systemd_made_it(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "key", SHARED, KEY, 0o440)
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_keys(KeyOptions(key_file=file), "host_b", environment).shared == KEY
    elsewhere = {"CREDENTIALS_DIRECTORY": str(tmp_path / "other")}
    with pytest.raises(UsageError, match="can be read by others"):
        read_keys(KeyOptions(key_file=file), "host_b", elsewhere)


def test_a_pipe_will_do_for_a_file() -> None:
    """As ``--key-file <(pass show key)`` in a shell."""
    reading, writing = os.pipe()
    os.write(writing, as_text(SHARED, KEY).encode())
    os.close(writing)
    try:
        assert read_keys(KeyOptions(key_file=f"/dev/fd/{reading}"), "b", {}).shared == KEY
    finally:
        os.close(reading)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    with pytest.raises(UsageError, match=f"{missing}: No such file or directory"):
        read_keys(KeyOptions(key_file=missing), "host_b", {})
    with pytest.raises(UsageError, match=f"{tmp_path}: Is a directory"):
        read_keys(KeyOptions(key_file=str(tmp_path)), "host_b", {})
    own = secret_file(tmp_path / "own", IDENTITY, OWN)
    with pytest.raises(UsageError, match=f"{missing}: No such file"):
        read_keys(KeyOptions(identity=own, known_peers=missing), "host_b", {})
    with pytest.raises(UsageError, match=r"own: another kind of key stands there.*genkey"):
        read_keys(KeyOptions(key_file=own), "host_b", {})
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe, 0o600)
    with pytest.raises(UsageError, match=f"{pipe}: this is no regular file"):
        read_keys(KeyOptions(key_file=pipe), "host_b", {})
    with pytest.raises(UsageError, match="no file has a NUL in its name"):
        read_keys(KeyOptions(key_file="a\0b"), "host_b", {})
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)))
    binary.chmod(0o600)
    with pytest.raises(UsageError, match="binary: no such key stands there"):
        read_keys(KeyOptions(key_file=str(binary)), "host_b", {})


def test_no_secret_is_in_a_repr() -> None:
    told = repr(Keyring(shared=KEY, identity=OWN, known={"host_b": PEER}))
    assert repr(KEY) not in told
    assert repr(OWN) not in told
    assert "host_b" in told
