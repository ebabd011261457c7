"""The command that invite and accept print for the next time."""

from __future__ import annotations

import shlex

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.client_arguments import client_options, client_options_of
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.pairing_command import _command

KEY = bytes(range(32))


def parsed(*words: str) -> ClientOptions:
    return client_options_of(client_options(Parser()).parse_args(words))


@pytest.mark.parametrize(
    "words",
    [
        ("--listen", "5300"),
        ("--listen", "[fe80::1%lo]:5300", "--relay", "early"),
        ("--connect", "127.0.0.1:53", "--server-token", "my token", "--no-relay"),
        ("--service", "dns:listen=5300", "--tls", "--turn", "turn:turn.example"),
    ],
)
def test_a_shell_gives_the_client_all_that_the_pairing_had(words: tuple[str, ...]) -> None:
    then = parsed("--server", "192.0.2.2", "--id", "host_a", "-r", "host_b", *words)
    program, command, *again = shlex.split(_command(then, "/home/me/it's mine", KEY))
    assert (program, command) == ("nat-traversal", "client")
    taken = parsed(*again)
    assert (taken.keys.identity, taken.keys.peer_key) == ("/home/me/it's mine", KEY)
    for name in ("server", "id", "remote", "listen", "connect", "services"):
        assert getattr(taken, name) == getattr(then, name)
    for name in ("relaying", "turn", "tls", "token_file"):
        assert getattr(taken, name) == getattr(then, name)
