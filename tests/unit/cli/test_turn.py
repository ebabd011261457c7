"""`--turn` and the file of its credentials: what a client makes of them, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import turn
from nat_traversal.cli.client_arguments import client_options, client_options_of
from nat_traversal.cli.options import ClientOptions
from nat_traversal.errors import UsageError
from tests.certificates import Authority

HEAD = ("--server", "192.0.2.2", "-r", "peer", "--listen", "5300")
TURN = ("--turn", "turn:turn.example")


def options(*words: str) -> ClientOptions:
    return client_options_of(client_options(Parser()).parse_args([*HEAD, *words]))


def with_file(folder: Path, text: str | bytes, mode: int = 0o600) -> ClientOptions:
    file = folder / "turn.credentials"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(mode)
    return options(*TURN, "--turn-credentials", str(file))


@pytest.mark.parametrize(
    ("words", "takes"),
    [
        ((), True),
        (("--no-relay",), False),
        (("--no-relay", *TURN), True),
        (("--methods", "ordered-hello"), False),
        (("--methods", "ordered-hello,turn"), True),
        (("--methods", "ordered-hello,turn", "--no-relay"), True),
    ],
)
def test_no_relay_means_no_turn_server_unless_one_is_named(
    words: tuple[str, ...], takes: bool
) -> None:
    assert options(*words).takes_turn is takes


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*TURN, "--methods", "ordered-hello"), "--turn needs the method turn"),
        ((*TURN, "--plaintext"), "leave out either it or --turn"),
        (("--turn-credentials", "file"), "give --turn as well"),
        (("--turn-ca", "file"), "write --turn turns:HOST"),
        ((*TURN, "--turn-ca", "file"), "write --turn turns:HOST"),
    ],
)
def test_a_contradiction_is_told(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        options(*words)


def test_the_file_has_a_name_and_a_password(tmp_path: Path) -> None:
    server = turn.read_turn(with_file(tmp_path, "1760000000:lab\npass word:1\n"), {})
    assert server is not None
    assert (server.username, server.password) == ("1760000000:lab", "pass word:1")


def test_a_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    server = turn.read_turn(with_file(tmp_path, b"\xef\xbb\xbflab\r\nsecret\r\n"), {})
    assert server is not None
    assert (server.username, server.password) == ("lab", "secret")


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no UTF-8") as refused:
        turn.read_turn(with_file(tmp_path, "lab\nschlüssel\n".encode("latin-1")), {})
    assert "schl" not in str(refused.value)


def test_a_turn_server_may_want_no_credentials() -> None:
    server = turn.read_turn(options(*TURN), {})
    assert server is not None
    assert (server.username, server.password) == ("", "")


@pytest.mark.parametrize("text", ["", "lab\n", "lab\n\n", "\nsecret\n", "lab\nsecret\nmore\n"])
def test_a_file_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on one line and the password on the next") as refused:
        turn.read_turn(with_file(tmp_path, text), {})
    assert "secret" not in str(refused.value)


def test_a_name_that_no_message_can_carry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 508 octets"):
        turn.read_turn(with_file(tmp_path, "x" * 509 + "\nsecret\n"), {})


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="chmod 600"):
        turn.read_turn(with_file(tmp_path, "lab\nsecret\n", 0o644), {})


def test_without_the_library_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nat_traversal.wire.turn.LIBRARY", "no_such_library")
    with pytest.raises(UsageError, match=r"pip install 'nat-traversal\[turn\]'"):
        turn.read_turn(options(*TURN), {})


def test_the_file_of_cas_is_read(tmp_path: Path) -> None:
    file = Authority.new().issued.certificate_file(tmp_path / "ca.pem")
    server = turn.read_turn(options("--turn", "turns:turn.example", "--turn-ca", file), {})
    assert server is not None
    assert server.ca == Path(file).read_text(encoding="ascii")


@pytest.mark.parametrize(
    "text", ["", "none", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(text, encoding="ascii")
    with pytest.raises(UsageError, match=r"--turn-ca .*: no certificate in PEM form is in it"):
        turn.read_turn(options("--turn", "turns:turn.example", "--turn-ca", str(file)), {})
