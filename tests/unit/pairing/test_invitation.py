"""The invitation's line: what it holds, that it comes back whole, and what is said of one that is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.errors import UsageError
from nat_traversal.pairing.invitation import Invitation, parse
from nat_traversal.tls import ClientTlsSettings
from nat_traversal.wire.endpoint import HostPort

NOW = 1_800_000_000.0
INVITATION = Invitation(
    HostPort("server.example", 6545), "home", "friend", bytes(range(32)), int(NOW) + 600, b"\xff" * 32
)  # fmt: skip
LINE = INVITATION.url()


def refusal(line: str, now: float = NOW) -> str:
    with pytest.raises(UsageError) as refused:
        parse(line, now)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_the_line_is_a_url_whose_secret_no_server_sees() -> None:
    address, _, secret = LINE.partition("#")
    assert address == (
        "nat-traversal://server.example:6545/home?peer=friend"
        "&key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8&until=1800000600"
    )
    assert secret == "_" * 42 + "8"


def test_the_secret_shows_in_no_repr() -> None:
    assert "xff" not in repr(INVITATION)
    assert "____" not in repr(INVITATION)


@given(
    host=st.sampled_from(["server.example", "192.0.2.1", "2001:db8::1"]),
    port=st.integers(1, 65535),
    keys=st.tuples(*[st.binary(min_size=32, max_size=32)] * 2),
    tls=st.sampled_from([None, ClientTlsSettings(), ClientTlsSettings(fingerprint="ab" * 32)]),
)
def test_what_was_invited_is_read(
    host: str, port: int, keys: tuple[bytes, bytes], tls: ClientTlsSettings | None
) -> None:
    made = Invitation(HostPort(host, port), "a.b_c-1", "B", keys[0], int(NOW) + 1, keys[1], tls)
    assert parse(f"  {made.url()}\n", NOW) == made


def test_a_ca_of_ones_own_has_no_place_in_it() -> None:
    private = Invitation(
        HostPort("s", 1), "a", "b", bytes(32), 1, bytes(32), ClientTlsSettings(ca="ca.pem")
    )
    with pytest.raises(UsageError, match="--server-fingerprint"):
        private.url()


def test_an_invitation_ends() -> None:
    assert parse(LINE, NOW + 599.9) == INVITATION
    assert refusal(LINE, NOW + 600).startswith("this invitation has expired")


@pytest.mark.parametrize("end", range(len(LINE)))
def test_a_line_that_was_cut_is_told_without_its_secret(end: int) -> None:
    text = refusal(LINE[:end])
    assert "copy the whole line" in text
    assert "___" not in text


@pytest.mark.parametrize(
    "line",
    [
        "",
        "https://server.example/home",
        LINE.replace("home", "-"),
        LINE.replace("peer=friend", "peer="),
        LINE.replace("peer=friend&", ""),
        LINE.replace("until=18", "until=soon"),
        LINE.replace("#", "&tls=yes#"),
        LINE.replace("6545", "0"),
        LINE.replace("server.example", "169.254.0.1"),
        LINE[:-1] + "9",  # the same octets, and a bit behind them
        LINE + "x" * 1000,
        LINE.replace("#", "&a=b" * 20 + "#"),
        LINE.replace("server.example", "[::1"),
    ],
)
def test_a_line_that_is_none_is_told_in_one_line(line: str) -> None:
    assert "copy the whole line" in refusal(line)


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    refusal(f"nat-traversal://{text}")
