"""The options about rungs and the relay: what they mean, and what contradicts itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.cli.peers.plan import plan_of
from nat_traversal.client.security import Security
from nat_traversal.errors import UsageError
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.messages import Relaying
from tests.unit.cli.test_arguments import client, server


@pytest.mark.parametrize(
    ("words", "relaying"),
    [
        ("", Relaying.AUTO),
        ("--relay auto", Relaying.AUTO),
        ("--relay early", Relaying.EARLY),
        ("--relay never", Relaying.NEVER),
        ("--no-relay", Relaying.NEVER),
        ("--no-relay --relay never", Relaying.NEVER),
        ("--methods ordered-hello", Relaying.NEVER),
        ("--methods ordered-hello,relay", Relaying.AUTO),
        ("--methods ordered-hello --relay never", Relaying.NEVER),
    ],
)
def test_a_client_s_wish(words: str, relaying: Relaying) -> None:
    assert client(*words.split()).relaying is relaying


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--no-relay --relay early", "--no-relay and --relay early exclude each other"),
        ("--no-port-mapping --methods ordered-hello,port-mapping", "exclude each other"),
        ("--methods ordered-hello --relay auto", "needs the method relay, which --methods lacks"),
    ],
)
def test_a_contradiction_is_refused(words: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        client(*words.split())


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("relay", "ordered-hello is the first of all methods: it cannot be left out"),
        (
            "ordered-hello,carrier-pigeon",
            "'carrier-pigeon' is no method: choose from ordered-hello",
        ),
    ],
)
def test_a_method_that_is_none_is_refused(
    word: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        client("--methods", word)
    assert text in capsys.readouterr().err


def test_each_bound_of_the_server_has_a_flag() -> None:
    words = "--relay-pairs 3 --relay-datagrams 50 --relay-octets 70000 --relay-all-datagrams 500"
    words += " --relay-all-octets 700000 --relay-idle 20s --relay-most 2h"
    settings = server(*words.split()).settings
    assert settings == ServerSettings(
        relay_pairs=3,
        relay_datagrams=50.0,
        relay_octets=70_000.0,
        relay_all_datagrams=500.0,
        relay_all_octets=700_000.0,
        relay_idle=20.0,
        relay_most=7200.0,
    )
    assert server("--no-relay").settings.relay_pairs == 0


def test_a_bound_out_of_its_range_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        server("--relay-idle", "0s")
    assert "relay-idle must be a number from 0.001" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--no-relay and --relay-pairs exclude each other"):
        server("--no-relay", "--relay-pairs", "3")


def test_a_client_asks_its_router_unless_it_shall_not() -> None:
    assert "port-mapping" in client().methods
    assert "port-mapping" not in client("--no-port-mapping").methods
    assert client("--methods", "ordered-hello,host").methods == ("host",)


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ((), False),
        (("--methods", "ordered-hello,birthday"), True),
        (("--methods", "ordered-hello"), False),
    ],
)
def test_ports_are_guessed_without_a_key_only_where_that_is_named(
    words: tuple[str, ...], *, offers: bool
) -> None:
    config = plan_of(client("--id", "host_a", "--listen", "5300", *words), {}).config()
    assert ("birthday" in config.offered) is offers
    key = replace(config, security=Security.sealed(psk=bytes(32)))
    assert ("birthday" in key.offered) is (offers or not words)
