"""A TURN server's URI as users write it, and what is wrong with others."""

from __future__ import annotations

import pytest

from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.turn import TurnServer, TurnUri, parse_turn


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("turn:turn.example", TurnUri(HostPort("turn.example", 3478))),
        ("turn:turn.example:53?transport=udp", TurnUri(HostPort("turn.example", 53))),
        ("turn:192.0.2.3:80?transport=tcp", TurnUri(HostPort("192.0.2.3", 80), by_tcp=True)),
        ("turn:[2001:db8::1]", TurnUri(HostPort("2001:db8::1", 3478))),
        ("turns:turn.example", TurnUri(HostPort("turn.example", 5349), by_tcp=True, tls=True)),
        (
            "turns:turn.example:443?transport=tcp",
            TurnUri(HostPort("turn.example", 443), by_tcp=True, tls=True),
        ),
    ],
)
def test_a_uri_says_where_the_server_is_and_how_it_is_reached(text: str, uri: TurnUri) -> None:
    assert parse_turn(text) == uri
    assert parse_turn(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    ["turn.example", "stun:turn.example", "turn:", "turn:x?transport=sctp", "turn:x/y", "turn:a b"],
)
def test_another_form_is_refused_with_the_right_one(text: str) -> None:
    with pytest.raises(UsageError):
        parse_turn(text)


def test_a_password_in_the_uri_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        parse_turn("turn:lab:secret@turn.example")
    assert "secret" not in str(refused.value)


def test_tls_over_udp_is_refused() -> None:
    with pytest.raises(UsageError, match="turns: goes over TCP"):
        parse_turn("turns:turn.example?transport=udp")


def test_no_password_is_shown() -> None:
    assert "secret" not in repr(TurnServer(parse_turn("turn:x"), "lab", "secret"))
