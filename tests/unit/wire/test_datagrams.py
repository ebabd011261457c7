"""Datagrams: round trips, exact sizes, and one text for every malformation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.errors import LocalProtocolError, WireError
from nat_traversal.wire.datagrams import (
    FRAMES,
    MAX_ANNOUNCE,
    MIN_FRAME,
    Announce,
    Announced,
    Confirm,
    Datagram,
    Echo,
    Frame,
    Hello,
    Kind,
    Signed,
    decode,
    encode,
    handle_of,
    signed_part,
    tag_of,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.octets import MAC_BYTES
from nat_traversal.wire.opener import Opener
from nat_traversal.wire.relayed import Bind, Bound, Link
from nat_traversal.wire.samples import Sample

TAG, NONCE, ECHO = b"tag-----", b"nonce---", b"echo----"
HANDLE, MAC, CONNECTION = b"handle".ljust(16, b"."), b"mac".ljust(16, b"."), b"conn"
V4, V6 = Endpoint("203.0.113.2", 40_000), Endpoint("2001:db8::1", 65_535)
HELLO = Hello(TAG, 1, 2, True, 3, NONCE, ECHO, CONNECTION, MAC)
EXAMPLES: dict[Kind, tuple[Datagram, int]] = {
    Kind.HELLO: (HELLO, 54),
    Kind.ANNOUNCE: (Announce(HANDLE, 1 << 40, 7, MAC), 94),
    Kind.ANNOUNCED: (Announced(1 << 40, V4, (V4, V6), NONCE, MAC), 94),
    Kind.ECHO: (Echo(HANDLE, 1 << 40, NONCE, MAC), 48),
    Kind.KNOCK: (Knock(7, NONCE, MAC), 28),
    Kind.OPENER: (Opener(TAG, 3, 7, MAC), 28),
    Kind.SAMPLE: (Sample(HANDLE, 1 << 40, 7, MAC), 42),
    Kind.CONFIRM: (Confirm(TAG, 1, True, 7, NONCE, ECHO, CONNECTION, MAC), 49),
    Kind.BIND: (Bind(HANDLE, 7, 1 << 31, ECHO, MAC), 48),
    Kind.BOUND: (Bound(7, 1 << 31, True, NONCE, MAC), 33),
    Kind.LINK: (Link(TAG, True, NONCE, ECHO, CONNECTION, MAC), 47),
    **{
        kind: (Frame(kind, bytes([kind]) + bytes(MIN_FRAME - 1)), MIN_FRAME)
        for kind in Kind
        if kind in FRAMES
    },
}
NO_FRAMES = [kind for kind in Kind if kind not in FRAMES]

eight = st.binary(min_size=8, max_size=8)
four = st.binary(min_size=4, max_size=4)
sixteen = st.binary(min_size=16, max_size=16)
rounds = st.integers(1, 255)
endpoints = st.builds(
    lambda address, port: Endpoint(str(address), port), st.ip_addresses(), st.integers(0, 65_535)
)
numbers = st.integers(1, MAX_ANNOUNCE)
announced = st.builds(
    Announced, numbers, endpoints, st.lists(endpoints, max_size=2).map(tuple), eight, sixteen
)
hellos = st.builds(
    Hello, eight, rounds, st.integers(1, 3), st.booleans(), st.integers(0, 255), eight, eight, four,
    sixteen,
)  # fmt: skip
confirms = st.builds(
    Confirm, eight, rounds, st.booleans(), st.integers(0, 255), eight, eight, four, sixteen
)
echoes = st.builds(Echo, sixteen, numbers, eight, sixteen)
announces = st.builds(Announce, sixteen, numbers, st.integers(1, 65_535), sixteen)
counted = st.integers(1, 65_535)
binds = st.builds(Bind, sixteen, counted, st.integers(1, 1 << 31), eight, sixteen)
bounds = st.builds(Bound, counted, counted, st.booleans(), eight, sixteen)
links = st.builds(Link, eight, st.booleans(), eight, eight, four, sixteen)
frames = st.builds(
    lambda kind, rest: Frame(kind, bytes([kind]) + rest),
    st.sampled_from(sorted(FRAMES)),
    st.binary(min_size=MIN_FRAME - 1, max_size=100),
)
signed_datagrams = st.one_of(hellos, confirms, announces, announced, echoes, binds, bounds, links)
datagrams = st.one_of(signed_datagrams, frames)


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
def test_every_datagram_survives_the_wire(datagram: Datagram) -> None:
    assert decode(encode(datagram)) == datagram


@pytest.mark.parametrize("kind", Kind)
def test_first_octet_and_size_are_as_documented(kind: Kind) -> None:
    datagram, size = EXAMPLES[kind]
    octets = encode(datagram)
    assert octets[0] == kind
    assert len(octets) == size


def test_hello_can_be_read_in_a_capture() -> None:
    octets = encode(Hello(TAG, 2, 3, True, 4, NONCE, ECHO, CONNECTION, MAC))
    assert octets == b"HELLO" + bytes([2, 3, 1, 2, 4]) + TAG + NONCE + ECHO + CONNECTION + MAC


@given(signed_datagrams)
def test_mac_is_over_everything_before_it(datagram: Signed) -> None:
    assert signed_part(datagram) == encode(datagram)[:-MAC_BYTES]
    assert encode(datagram)[-MAC_BYTES:] == datagram.mac


@given(announced)
def test_server_never_sends_more_than_it_was_sent(answer: Announced) -> None:
    assert len(encode(answer)) <= len(encode(Announce(HANDLE, 1, 1)))


def test_frame_is_left_as_it_came() -> None:
    octets = bytes([Kind.DATA]) + bytes(range(200))
    assert decode(octets) == Frame(Kind.DATA, octets)
    assert encode(Frame(Kind.DATA, octets)) == octets


def test_what_travels_in_clear_does_not_tell_the_secret_behind_it() -> None:
    secret = bytes(range(32))
    for public, size in ((tag_of(secret), 8), (handle_of(secret), 16)):
        assert len(public) == size
        assert public not in secret
        assert secret[:4] not in public
    assert not handle_of(secret).startswith(tag_of(secret))


def test_copies_saturate() -> None:
    assert decode(encode(Hello(TAG, 1, 1, False, 300))) == Hello(TAG, 1, 1, False, 255)
    assert decode(encode(Confirm(TAG, 1, False, 300))) == Confirm(TAG, 1, False, 255)


def test_padding_is_ignored() -> None:
    announce, answer = EXAMPLES[Kind.ANNOUNCE][0], EXAMPLES[Kind.ANNOUNCED][0]
    for offset in (26, 77):
        assert decode(altered(Kind.ANNOUNCE, offset, 0xFF)) == announce
    assert decode(altered(Kind.ANNOUNCED, 19, 0xFF)) == answer


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty datagram"),
        (b"\x00", "unknown datagram kind 0x00"),
        (b"\xd9" + bytes(20), "unknown datagram kind 0xd9"),
        (b"HALLO" + bytes(49), "unknown datagram kind: begins with H but not with HELLO"),
        (altered(Kind.HELLO, 5, 1), "datagram version 1: this side speaks 2"),
        (altered(Kind.HELLO, 6, 0), "HELLO step 0: must be 1, 2 or 3"),
        (altered(Kind.HELLO, 6, 4), "HELLO step 4: must be 1, 2 or 3"),
        (altered(Kind.HELLO, 7, 2), "HELLO flags 0x2: must be 0 or 0x1"),
        (altered(Kind.CONFIRM, 2, 0xFF), "CONFIRM flags 0xff: must be 0 or 0x1"),
        (altered(Kind.HELLO, 8, 0), "HELLO round 0: rounds count from 1"),
        (altered(Kind.CONFIRM, 3, 0), "CONFIRM round 0: rounds count from 1"),
        (altered(Kind.ANNOUNCE, 3, 0), "ANNOUNCE generation 0: sockets count from 1"),
        (encode(Announce(HANDLE, 0, 1)), "ANNOUNCE number 0: announces count from 1"),
        (altered(Kind.ANNOUNCED, 3, 3), "ANNOUNCED with 3 peer endpoints: at most 2"),
        (
            altered(Kind.ANNOUNCED, 3, 1),
            "ANNOUNCED of 94 octets: wrong length for 1 peer endpoints",
        ),
        (altered(Kind.ANNOUNCED, 18, 5), "address family 5: must be 4 or 6"),
        (altered(Kind.BIND, 3, 0), "BIND 2147483648 of relay 0: both count from 1"),
        (encode(Bind(HANDLE, 7, 0)), "BIND 0 of relay 7: both count from 1"),
        (altered(Kind.BOUND, 2, 2), "BOUND flags 0x2: must be 0 or 0x1"),
        (altered(Kind.OPENER, 2, 0), "OPENER round 0: rounds count from 1"),
        (altered(Kind.OPENER, 3, 0), "OPENER of 0 hops: must be 1 to 10"),
        (altered(Kind.OPENER, 3, 11), "OPENER of 11 hops: must be 1 to 10"),
        (altered(Kind.LINK, 2, 4), "LINK flags 0x4: must be 0 or 0x1"),
        *(
            (altered(kind, 1, 0), "datagram version 0: this side speaks 2")
            for kind in NO_FRAMES
            if kind is not Kind.HELLO
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_datagram_is_told(data: bytes, text: str) -> None:
    assert refusal(data) == text


@pytest.mark.parametrize("kind", Kind)
def test_datagram_cut_short_is_told(kind: Kind) -> None:
    octets = encode(EXAMPLES[kind][0])
    why = "shorter than a frame's header" if kind in FRAMES else "wrong length"
    for length in range(1, len(octets)):
        with pytest.raises(WireError, match=rf"^{kind.name} of {length} octets: {why}"):
            decode(octets[:length])


@pytest.mark.parametrize("kind", NO_FRAMES)
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
                found = Kind((head + noise)[0])
                if isinstance(datagram, Frame):
                    assert datagram == Frame(found, head + noise)
                else:
                    assert type(datagram).__name__.upper() == found.name
    assert refused


@given(st.sampled_from(Kind), st.binary(max_size=100))
def test_noise_behind_a_kind_raises_nothing_but_wire_error(kind: Kind, noise: bytes) -> None:
    head = b"HELLO" if kind is Kind.HELLO else bytes([kind])
    assert "\n" not in refusal(head + noise)


@given(datagrams, st.data())
def test_one_changed_octet_raises_nothing_but_wire_error(
    datagram: Datagram, data: st.DataObject
) -> None:
    octets = bytearray(encode(datagram))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    assert "\n" not in refusal(bytes(octets))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Hello(b"short", 1, 1, False), "8 octets are wanted, not 5"),
        (lambda: replace(HELLO, nonce=b"short"), "8 octets are wanted, not 5"),
        (lambda: replace(HELLO, echo=bytes(9)), "8 octets are wanted, not 9"),
        (lambda: replace(HELLO, connection=b"abc"), "4 octets are wanted, not 3"),
        (lambda: replace(HELLO, mac=bytes(17)), "16 octets are wanted, not 17"),
        (lambda: Confirm(TAG, 1, True, connection=bytes(5)), "4 octets are wanted, not 5"),
        (lambda: Announce(b"short", 1, 1), "16 octets are wanted, not 5"),
        (lambda: Announced(1, V4, mac=b""), "16 octets are wanted, not 0"),
        (lambda: Announced(1, V4, (V4,) * 3), "3 peer endpoints: at most 2"),
        (lambda: Hello(TAG, 256, 1, False), "cannot be encoded"),
        (lambda: Announce(HANDLE, 1, 65_536), "cannot be encoded"),
        (lambda: Announce(HANDLE, MAX_ANNOUNCE + 1, 1), "cannot be encoded"),
        (lambda: Announced(MAX_ANNOUNCE + 1, V4), "cannot be encoded"),
    ],
)
def test_value_without_an_encoding_is_our_own_mistake(
    make: Callable[[], Datagram], text: str
) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        encode(make())
