"""The option `--service`: what it may be, and the one line for what it may not."""

from __future__ import annotations

import pytest

from nat_traversal.cli.services import NamedEnd, check_services, offer_of, parse_service
from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.services import ServiceOffer, Side

DNS = NamedEnd("dns", Side.CONNECT, HostPort("127.0.0.1", 53))
GAME = NamedEnd("game", Side.LISTEN, HostPort("127.0.0.1", 34197))


def test_both_sides_are_read() -> None:
    assert parse_service("game:listen=34197") == GAME
    assert parse_service("dns:connect=127.0.0.1:53") == DNS
    assert offer_of(1, GAME) == ServiceOffer(1, "game", Side.LISTEN)
    assert offer_of(2, DNS) == ServiceOffer(2, "dns", Side.CONNECT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("game", "is no service: write NAME:listen="),
        ("game:serve=1", "is no service"),
        ("a b:listen=1", "cannot name a service"),
        (f"{'a' * 33}:listen=1", "1 to 32 letters"),
        ("web:listen=tcp:80", "tcp is not there yet"),
        ("dns:connect=53", "HOST:PORT"),
    ],
)
def test_what_is_none_says_what_would_be(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_service(text)


def test_one_name_or_one_port_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="have one name: rename one"):
        check_services([GAME, parse_service("game:listen=1")], None)
    with pytest.raises(UsageError, match="have one port: change one"):
        check_services([GAME, parse_service("other:listen=34197")], None)
    with pytest.raises(UsageError, match=r"^--listen 127.0.0.1:34197 and --service game"):
        check_services([GAME], GAME.at)
