"""The credit of streams: counted in octets, granted as a program reads, bounded for all streams together."""

from __future__ import annotations

import pytest

from nat_traversal.errors import WireError
from nat_traversal.streams.credit import (
    INITIAL_CREDIT,
    MOST_WINDOW,
    WINDOWS,
    Grants,
    Incoming,
    Outgoing,
    encode_grant,
    window,
)


def test_windows_of_all_streams_together_have_a_bound() -> None:
    for streams in range(1, 4096):
        assert INITIAL_CREDIT <= window(streams) <= MOST_WINDOW
        assert streams * window(streams) <= max(WINDOWS, streams * INITIAL_CREDIT)
    assert window(0) == window(1) == MOST_WINDOW
    assert window(2048) == INITIAL_CREDIT


def test_grants_are_read_however_their_octets_are_cut() -> None:
    octets = encode_grant(0, 1) + encode_grant(2**62, 2**40) + encode_grant(4, 5)
    for size in range(1, len(octets) + 1):
        grants = Grants()
        found = [
            each
            for at in range(0, len(octets), size)
            for each in grants.arrived(octets[at : at + size])
        ]
        assert found == [(0, 1), (2**62, 2**40), (4, 5)]


def test_a_side_sends_as_much_as_it_was_granted() -> None:
    outgoing = Outgoing()
    assert outgoing.room == INITIAL_CREDIT
    outgoing.sent(INITIAL_CREDIT)
    assert outgoing.room == 0
    assert not outgoing.granted(INITIAL_CREDIT)
    assert outgoing.granted(INITIAL_CREDIT + 7)
    assert outgoing.room == 7


def test_a_grant_is_never_taken_back() -> None:
    outgoing = Outgoing()
    assert not outgoing.granted(INITIAL_CREDIT - 1)
    assert outgoing.room == INITIAL_CREDIT


def test_octets_are_granted_once_half_of_the_window_was_read() -> None:
    incoming = Incoming()
    most = 2 * INITIAL_CREDIT
    incoming.arrived(INITIAL_CREDIT)
    assert incoming.read(1, most) == 1 + most
    assert incoming.read(most // 2 - 1, most) is None
    assert incoming.read(1, most) == 1 + most // 2 + most


def test_more_than_was_granted_is_refused() -> None:
    incoming = Incoming()
    incoming.arrived(INITIAL_CREDIT)
    with pytest.raises(WireError, match="more octets"):
        incoming.arrived(1)


def test_a_narrower_window_takes_nothing_back_and_grants_later() -> None:
    incoming = Incoming()
    incoming.arrived(1000)
    assert incoming.read(1000, MOST_WINDOW) == 1000 + MOST_WINDOW
    incoming.arrived(MOST_WINDOW)
    for _ in range(MOST_WINDOW // INITIAL_CREDIT - 1):
        assert incoming.read(INITIAL_CREDIT, INITIAL_CREDIT) is None
    assert incoming.read(INITIAL_CREDIT, INITIAL_CREDIT) == 1000 + MOST_WINDOW + INITIAL_CREDIT
