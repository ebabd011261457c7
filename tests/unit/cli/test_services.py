"""The option `--service`: what it may be, and the one line for what it may not."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from nat_traversal.cli.services import (
    QUIC,
    NamedEnd,
    check_services,
    check_tcp,
    offer_of,
    parse_end,
    parse_service,
)
from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.services import ServiceKind, ServiceOffer, Side
from tests import ROOT

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
        ("web:listen=tcp:", "HOST:PORT or PORT"),
        ("web:listen=sctp:80:1", "HOST:PORT or PORT"),
        ("web:connect=tcp:80", "HOST:PORT"),
        ("dns:connect=53", "HOST:PORT"),
    ],
)
def test_what_is_none_says_what_would_be(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_service(text)


def test_tcp_stands_before_the_address() -> None:
    web = NamedEnd("web", Side.LISTEN, HostPort("127.0.0.1", 80), ServiceKind.TCP)
    assert parse_service("web:listen=tcp:80") == web
    assert str(web) == "web:listen=tcp:127.0.0.1:80"
    assert offer_of(3, web) == ServiceOffer(3, "web", Side.LISTEN, ServiceKind.TCP)
    assert parse_end(Side.LISTEN, "tcp:80") == replace(web, name="tcp")
    assert parse_end(Side.CONNECT, "tcp:[::1]:22") == NamedEnd(
        "tcp", Side.CONNECT, HostPort("::1", 22), ServiceKind.TCP
    )
    assert parse_end(Side.LISTEN, "80") == HostPort("127.0.0.1", 80)


@pytest.mark.parametrize("text", ["TCP:80", "udp:80", "tcp:tcp:80", "tcp:UDP:80"])
def test_a_kind_that_stands_where_a_host_would_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write PORT for UDP and tcp:PORT for TCP"):
        parse_end(Side.LISTEN, text)
    with pytest.raises(UsageError, match="write PORT for UDP and tcp:PORT for TCP"):
        parse_service(f"web:listen={text}")


def test_a_port_may_be_used_over_udp_and_tcp() -> None:
    both = [parse_service("web:listen=tcp:80"), parse_service("quic:listen=80")]
    assert check_services(both, None) == tuple(both)
    with pytest.raises(UsageError, match="have one port: change one"):
        check_services([both[0], parse_service("other:listen=tcp:80")], None)


def test_tcp_services_need_a_sealed_path_and_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    web = parse_service("web:listen=tcp:80")
    check_tcp([web, GAME], plaintext=False)
    check_tcp([GAME], plaintext=True)
    with pytest.raises(UsageError, match="--plaintext has no TCP services"):
        check_tcp([GAME, web], plaintext=True)
    monkeypatch.setattr("nat_traversal.cli.services.find_spec", lambda _: None)
    check_tcp([GAME], plaintext=False)
    with pytest.raises(UsageError, match=r"pip install 'aioquic~=[\d.]+'$"):
        check_tcp([web], plaintext=False)


def test_the_package_of_tcp_services_is_the_one_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"]["tcp"] == [QUIC]


def test_one_name_or_one_port_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="have one name: rename one"):
        check_services([GAME, parse_service("game:listen=1")], None)
    with pytest.raises(UsageError, match="have one port: change one"):
        check_services([GAME, parse_service("other:listen=34197")], None)
    with pytest.raises(UsageError, match=r"^--listen 127.0.0.1:34197 and --service game"):
        check_services([GAME], GAME.at)
