"""STUN Binding: vectors of RFC 5769, requests of RFC 3489, malformed ones, sizes."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.errors import WireError
from nat_traversal.wire import stun, stun_client
from nat_traversal.wire.endpoint import Endpoint

COOKIE = stun.COOKIE.to_bytes(4, "big")
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
"""Of RFC 5769 section 2."""
V4, V6 = Endpoint("192.0.2.1", 32853), Endpoint("2001:db8:1234:5678:11:2233:4455:6677", 32853)
CHANGE = "0003000400000006"


def request(attributes: str = "", cookie: bytes = COOKIE) -> bytes:
    octets = bytes.fromhex(attributes)
    return b"\0\1" + len(octets).to_bytes(2, "big") + cookie + TRANSACTION + octets


def answer(asked: bytes, mapped: Endpoint = V4) -> bytes | None:
    return stun.encode(stun.BindingResponse(stun.decode(asked), mapped))


@pytest.mark.parametrize(
    ("mapped", "attribute"),
    [
        (V4, "0020000800 01a147e112a643"),  # RFC 5769 section 2.2
        (V6, "0020001400 02a1470113a9faa5d3f179bc25f4b5bed2b9d9"),  # RFC 5769 section 2.3
    ],
    ids=["IPv4", "IPv6"],
)
def test_the_answer_has_the_address_of_the_published_vectors(
    mapped: Endpoint, attribute: str
) -> None:
    octets = bytes.fromhex(attribute)
    head = b"\x01\x01" + len(octets).to_bytes(2, "big") + COOKIE + TRANSACTION
    assert answer(request(), mapped) == head + octets


def test_the_request_of_the_published_vectors_is_understood() -> None:
    """RFC 5769 section 2.1 has PRIORITY and ICE-CONTROLLED; only the first has to be understood."""
    sample = request("802200095354554e2074657374202020002400046e0001ff80290008932ff9b151263b36")
    assert stun.decode(sample).unknown == (0x0024,)


def test_a_client_of_rfc_3489_gets_the_plain_address_even_if_it_says_that_it_wants_no_change() -> (
    None
):
    for attributes in ("", "0003000400000000"):
        got = answer(request(attributes, b"\x12\x34\x56\x78"))
        assert got == b"\1\1\0\x0c\x12\x34\x56\x78" + TRANSACTION + bytes.fromhex(
            "0001000800018055c0000201"
        )


def test_a_client_of_rfc_3489_that_wants_another_address_hears_nothing() -> None:
    """It would take any answer for one from there, and call its NAT open."""
    assert answer(request(CHANGE, b"\x12\x34\x56\x78")) is None


def test_an_attribute_that_has_to_be_understood_gets_420() -> None:
    got = answer(request(CHANGE))
    assert got is not None
    assert got[:20] == b"\x01\x11" + (len(got) - 20).to_bytes(2, "big") + COOKIE + TRANSACTION
    assert got[20:44] == b"\0\x09\0\x15\0\0\x04\x14Unknown Attribute"[:24]
    assert bytes.fromhex("000a00020003") in got


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\1\0\0",
        request()[:-1],
        request() + b"\0",
        b"\0\1\0\2" + COOKIE + TRANSACTION + b"\0\0",
        request("00060008"),
        request("0006ffff00000000"),
        b"\x01\x01" + request()[2:],
        b"\x00\x03" + request()[2:],
        b"\x00\x11" + request()[2:],
        request("8022" + "2300" + "00" * 8960),
        request("80220000" * 33),
    ],
)
def test_everything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(WireError, match="STUN"):
        stun.decode(data)


@given(
    st.lists(st.tuples(st.integers(0, 65_535), st.binary(max_size=40)), max_size=12),
    st.sampled_from([COOKIE, b"\1\2\3\4"]),
    st.sampled_from([V4, V6]),
    st.booleans(),
)
def test_no_answer_has_more_than_twice_the_octets_of_its_request(
    attributes: list[tuple[int, bytes]], cookie: bytes, mapped: Endpoint, has_alternate: bool
) -> None:
    headers = 28 if mapped.family == 4 else 48
    octets = "".join(
        f"{kind:04x}{len(value):04x}{(value + bytes(-len(value) % 4)).hex()}"
        for kind, value in attributes
    )
    asked = request(octets, cookie)
    if len(asked) > stun.MOST_REQUEST:
        return
    other = mapped if has_alternate else None
    decoded = stun.decode(asked, has_alternate=has_alternate)
    got = stun.encode(stun.BindingResponse(decoded, mapped, other, other)) or b""
    assert len(got) + headers <= 2 * (len(asked) + headers)


def test_a_server_with_an_alternate_says_where_both_are_others_and_from_where_it_answers() -> None:
    """RFC 5780 sections 7.3 and 7.4; RFC 3489 sections 11.2.3 and 11.2.5."""
    modern = stun.decode(request(CHANGE), has_alternate=True)
    assert (modern.change_address, modern.change_port, modern.unknown) == (True, True, ())
    got = stun.encode(stun.BindingResponse(modern, V4, origin=V4, other=Endpoint("192.0.2.9", 2)))
    assert got is not None
    assert got[32:] == bytes.fromhex("802c000800010002c0000209" + "802b000800018055c0000201")
    classic = stun.decode(request(CHANGE, b"\1\2\3\4"), has_alternate=True)
    got = stun.encode(stun.BindingResponse(classic, V4, origin=V4, other=Endpoint("192.0.2.9", 2)))
    assert got is not None
    assert got[32:] == bytes.fromhex("0005000800010002c0000209" + "0004000800018055c0000201")


def test_what_the_client_of_rfc_5780_asks_is_what_the_server_reads() -> None:
    asked = stun_client.request(TRANSACTION, change_port=True, response_port=7, octets=548)
    assert len(asked) == 548
    got = stun.decode(asked, has_alternate=True)
    assert (got.change_address, got.change_port, got.response_port) == (False, True, 7)
    assert (got.octets, got.transaction, got.unknown) == (548, TRANSACTION, ())


@pytest.mark.parametrize("mapped", [V4, V6])
def test_the_client_reads_what_the_server_says(mapped: Endpoint) -> None:
    other = Endpoint(mapped.address, 9)
    response = stun.BindingResponse(stun.decode(request()), mapped, other=other)
    octets = stun.encode(stun.BindingResponse(stun.decode(request()), mapped)) or b""
    assert stun_client.decode(octets) == stun_client.Answer(TRANSACTION, mapped)
    response = stun.BindingResponse(
        stun.decode(request(CHANGE), has_alternate=True), mapped, other=other
    )
    octets = stun.encode(response) or b""
    assert stun_client.decode(octets) == stun_client.Answer(TRANSACTION, mapped, other)


def test_the_client_reads_an_error() -> None:
    refused = stun_client.decode(answer(request(CHANGE)) or b"")
    assert (refused.error, refused.mapped) == (420, None)


@given(st.binary(max_size=80))
def test_noise_in_an_answer_raises_nothing_else(noise: bytes) -> None:
    octets = b"\1\1" + (len(noise) // 4 * 4).to_bytes(2, "big") + COOKIE + TRANSACTION
    with contextlib.suppress(WireError):
        stun_client.decode(octets + noise[: len(noise) // 4 * 4])


def test_noise_raises_nothing_else() -> None:
    rng = random.Random(5)
    for _ in range(20_000):
        data = bytearray(rng.choice([request(), request(CHANGE), rng.randbytes(28)]))
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(WireError):
            stun.encode(stun.BindingResponse(stun.decode(bytes(data)), V6))
