"""The TLS options: what they mean, and which do not go together."""

from __future__ import annotations

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import tls
from nat_traversal.cli.tls import SelfSigned
from nat_traversal.errors import UsageError
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings

PIN = "ab" * 32


def client(*words: str) -> ClientTlsSettings | None:
    parser = Parser()
    tls.add_client_options(parser)
    return tls.client_tls(parser.parse_args(words))


def server(*words: str) -> ServerTlsSettings | SelfSigned | None:
    parser = Parser()
    tls.add_server_options(parser)
    return tls.server_tls(parser.parse_args(words))


def test_a_client_has_three_ways_to_know_its_server_and_each_means_tls() -> None:
    assert client() is None
    assert client("--tls") == ClientTlsSettings()
    assert client("--ca", "f") == client("--tls", "--ca", "f") == ClientTlsSettings(ca="f")
    assert client("--server-fingerprint", PIN) == ClientTlsSettings(fingerprint=PIN)
    with pytest.raises(UsageError, match="two ways to know the server: give one"):
        client("--ca", "f", "--server-fingerprint", PIN)


def test_a_fingerprint_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        client("--server-fingerprint", "ab")
    assert "'ab' is no SHA-256 fingerprint" in capsys.readouterr().err


def test_a_server_has_files_or_makes_one() -> None:
    assert server() is None
    assert server("--tls") == SelfSigned(None)
    assert server("--tls", "--state", "d") == SelfSigned("d")
    files = ("--tls-cert", "c", "--tls-key", "k")
    assert server(*files) == server("--tls", *files) == ServerTlsSettings("c", "k")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--tls-cert", "c"], "--tls-cert needs --tls-key FILE as well"),
        (["--tls", "--tls-key", "k"], "--tls-key needs --tls-cert FILE as well"),
        (["--tls-cert", "c", "--tls-key", "k", "--state", "d"], "leave --tls-cert out"),
        (["--state", "d"], "give --tls as well"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(words: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        server(*words)
