"""Datagrams: round trips, exact sizes, and one text for every malformation."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nat_traversal.errors import LocalProtocolError, WireError
from nat_traversal.wire.datagrams import (
    MAX_DATA_PAYLOAD,
    MAX_UDP_PAYLOAD,
    Announce,
    Announced,
    Bye,
    Confirm,
    Data,
    Datagram,
    Fragment,
    Hello,
    Kind,
    Ping,
    Pong,
    decode,
    encode,
    tag_of,
)
from nat_traversal.wire.endpoint import Endpoint

TOKEN = bytes(range(16))
TRANSACTION = bytes(range(8))
V4, V6 = Endpoint("203.0.113.2", 40_000), Endpoint("2001:db8::1", 65_535)
EXAMPLES: dict[Kind, tuple[Datagram, int]] = {
    Kind.HELLO: (Hello(TOKEN, 1, 2, True, 3), 26),
    Kind.ANNOUNCE: (Announce(TOKEN, TRANSACTION, 7), 72),
    Kind.ANNOUNCED: (Announced(TRANSACTION, V4, (V4, V6)), 72),
    Kind.CONFIRM: (Confirm(TOKEN, 1, True, 7), 21),
    Kind.PING: (Ping(TOKEN, TRANSACTION), 28),
    Kind.PONG: (Pong(TOKEN, TRANSACTION), 28),
    Kind.BYE: (Bye(TOKEN), 20),
    Kind.DATA: (Data(b"abcd", 1, True, b""), 10),
    Kind.FRAGMENT: (Fragment(b"abcd", 1, True, 9, True, b""), 12),
}

tokens = st.binary(min_size=16, max_size=16)
transactions = st.binary(min_size=8, max_size=8)
rounds = st.integers(1, 255)
endpoints = st.builds(
    lambda address, port: Endpoint(str(address), port), st.ip_addresses(), st.integers(0, 65_535)
)
tags = st.binary(min_size=4, max_size=4)
flows = st.integers(0, 2**32 - 1)
payloads = st.binary(max_size=100)
announced = st.builds(
    Announced, transactions, endpoints, st.lists(endpoints, max_size=2).map(tuple)
)
datagrams = st.one_of(
    st.builds(Hello, tokens, rounds, st.integers(1, 3), st.booleans(), st.integers(0, 255)),
    st.builds(Announce, tokens, transactions, st.integers(1, 65_535)),
    announced,
    st.builds(Confirm, tokens, rounds, st.booleans(), st.integers(0, 255)),
    st.builds(Ping, tokens, transactions),
    st.builds(Pong, tokens, transactions),
    st.builds(Bye, tokens),
    st.builds(Data, tags, flows, st.booleans(), payloads),
    st.builds(
        Fragment, tags, flows, st.booleans(), st.integers(0, 65_535), st.booleans(), payloads
    ),
)


def refusal(data: bytes) -> str:
    """The text of the `WireError`, empty if there is none. Any other error fails the test."""
    try:
        decode(data)
    except WireError as error:
        return str(error)
    return ""


def altered(kind: Kind, offset: int, value: int) -> bytes:
    """A valid datagram of that kind with one octet changed."""
    data = bytearray(encode(EXAMPLES[kind][0]))
    data[offset] = value
    return bytes(data)


@given(datagrams)
@settings(deadline=None)
def test_every_datagram_survives_the_wire(datagram: Datagram) -> None:
    assert decode(encode(datagram)) == datagram


@pytest.mark.parametrize("kind", Kind)
def test_first_octet_and_size_are_as_documented(kind: Kind) -> None:
    datagram, size = EXAMPLES[kind]
    octets = encode(datagram)
    assert octets[0] == kind
    assert len(octets) == size


def test_hello_can_be_read_in_a_capture() -> None:
    octets = encode(Hello(TOKEN, round=2, step=3, heard=True, copy=4))
    assert octets == b"HELLO" + bytes([1, 3, 1, 2, 4]) + TOKEN


@given(announced)
@settings(deadline=None)
def test_server_never_sends_more_than_it_was_sent(answer: Announced) -> None:
    assert len(encode(answer)) <= len(encode(Announce(TOKEN, TRANSACTION, 1)))


def test_largest_data_fills_the_largest_datagram() -> None:
    assert len(encode(Data(b"abcd", 1, True, bytes(MAX_DATA_PAYLOAD)))) == MAX_UDP_PAYLOAD == 65_507


def test_tag_is_the_beginning_of_the_token() -> None:
    assert tag_of(TOKEN) == TOKEN[:4]


def test_copies_saturate() -> None:
    assert decode(encode(Hello(TOKEN, 1, 1, False, 300))) == Hello(TOKEN, 1, 1, False, 255)


def test_reserved_flags_and_padding_are_ignored() -> None:
    assert decode(altered(Kind.HELLO, 7, 0xFF)) == EXAMPLES[Kind.HELLO][0]
    assert decode(altered(Kind.CONFIRM, 2, 0xFE)) == Confirm(TOKEN, 1, False, 7)
    assert decode(altered(Kind.ANNOUNCE, 71, 0xFF)) == EXAMPLES[Kind.ANNOUNCE][0]
    assert decode(altered(Kind.BYE, 3, 0xFF)) == EXAMPLES[Kind.BYE][0]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty datagram"),
        (b"\x00", "unknown datagram kind 0x00"),
        (b"\xc9" + bytes(20), "unknown datagram kind 0xc9"),
        (b"HALLO" + bytes(21), "unknown datagram kind: begins with H but not with HELLO"),
        (altered(Kind.HELLO, 5, 2), "datagram version 2: this side speaks 1"),
        (altered(Kind.HELLO, 6, 0), "HELLO step 0: must be 1, 2 or 3"),
        (altered(Kind.HELLO, 6, 4), "HELLO step 4: must be 1, 2 or 3"),
        (altered(Kind.HELLO, 8, 0), "HELLO round 0: rounds count from 1"),
        (altered(Kind.CONFIRM, 3, 0), "CONFIRM round 0: rounds count from 1"),
        (altered(Kind.ANNOUNCE, 3, 0), "ANNOUNCE generation 0: sockets count from 1"),
        (altered(Kind.ANNOUNCED, 3, 3), "ANNOUNCED with 3 peer endpoints: at most 2"),
        (
            altered(Kind.ANNOUNCED, 3, 1),
            "ANNOUNCED of 72 octets: wrong length for 1 peer endpoints",
        ),
        (altered(Kind.ANNOUNCED, 12, 5), "address family 5: must be 4 or 6"),
        *(
            (altered(kind, 1, 0), "datagram version 0: this side speaks 1")
            for kind in Kind
            if kind not in (Kind.HELLO, Kind.DATA, Kind.FRAGMENT)
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_datagram_is_told(data: bytes, text: str) -> None:
    assert refusal(data) == text


@pytest.mark.parametrize("kind", Kind)
def test_datagram_cut_short_is_told(kind: Kind) -> None:
    octets = encode(EXAMPLES[kind][0])
    for length in range(1, len(octets)):
        with pytest.raises(WireError, match=rf"^{kind.name} of {length} octets: wrong length"):
            decode(octets[:length])


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.DATA, Kind.FRAGMENT)])
def test_datagram_with_more_behind_it_is_told(kind: Kind) -> None:
    octets = encode(EXAMPLES[kind][0]) + b"\0"
    with pytest.raises(WireError, match=rf"^{kind.name} of {len(octets)} octets: wrong length"):
        decode(octets)


@pytest.mark.parametrize("kind", [None, *Kind])
def test_noise_of_every_length_raises_nothing_but_wire_error(kind: Kind | None) -> None:
    rng = random.Random(str(kind))
    head = b"" if kind is None else bytes([kind])
    refused = 0
    for length in range(2001):
        for noise in (rng.randbytes(length), bytes(length), b"\x01" * length):
            try:
                datagram = decode(head + noise)
            except WireError:
                refused += 1
            else:
                assert type(datagram).__name__.upper() == Kind((head + noise)[0]).name
    assert refused


@given(st.sampled_from(Kind), st.binary(max_size=100))
@settings(deadline=None)
def test_noise_behind_a_kind_raises_nothing_but_wire_error(kind: Kind, noise: bytes) -> None:
    head = b"HELLO" if kind is Kind.HELLO else bytes([kind])
    assert "\n" not in refusal(head + noise)


@given(datagrams, st.data())
@settings(deadline=None)
def test_one_changed_octet_raises_nothing_but_wire_error(
    datagram: Datagram, data: st.DataObject
) -> None:
    octets = bytearray(encode(datagram))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    assert "\n" not in refusal(bytes(octets))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Hello(b"short", 1, 1, False), "a token has 16 octets, not 5"),
        (lambda: Ping(TOKEN, b"short"), "a transaction id has 8 octets, not 5"),
        (lambda: Data(b"abc", 1, True, b""), "a tag has 4 octets, not 3"),
        (lambda: Fragment(b"abcde", 1, True, 1, True, b""), "a tag has 4 octets, not 5"),
        (lambda: Announced(TRANSACTION, V4, (V4,) * 3), "3 peer endpoints: at most 2"),
        (lambda: Hello(TOKEN, 256, 1, False), "cannot be encoded"),
        (lambda: Announce(TOKEN, TRANSACTION, 65_536), "cannot be encoded"),
        (lambda: Data(b"abcd", 2**32, True, b""), "cannot be encoded"),
        (lambda: Fragment(b"abcd", 1, True, 65_536, True, b""), "cannot be encoded"),
    ],
)
def test_value_without_an_encoding_is_our_own_mistake(
    make: Callable[[], Datagram], text: str
) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        encode(make())
