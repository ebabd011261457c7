"""Fragments: any order gives the datagram back, and nothing waits without bounds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.paths.fragments import MOST_FRAGMENTS, Reassembler, cut


@given(st.integers(0, 65_507), st.integers(300, 9000))
def test_cuts_cover_the_datagram_and_fit(length: int, room: int) -> None:
    pieces = cut(length, room)
    assert pieces[0][0] == 0
    assert pieces[-1][1] == length
    assert all(end == start for (_, end), (start, _) in pairwise(pieces))
    sizes = [end - start for start, end in pieces]
    assert max(sizes) <= room
    assert set(sizes[:-1]) <= {max(sizes)}, "a run: only the last may be shorter"
    assert length == 0 or min(sizes) > 0
    assert len(sizes) <= MOST_FRAGMENTS


@given(st.permutations(range(5)))
def test_any_order_gives_the_datagram_back_once(order: list[int]) -> None:
    whole = bytes(range(50))
    pieces = [whole[start:end] for start, end in cut(50, 10)]
    reassembler = Reassembler()
    given_back = [reassembler.arrived("key", index, 4, pieces[index], 0.0) for index in order]
    assert given_back == [None] * 4 + [whole]
    assert (reassembler.octets, reassembler.incomplete) == (0, 0)


def test_datagrams_do_not_mix() -> None:
    reassembler = Reassembler()
    assert reassembler.arrived("a", 0, 1, b"a1", 0.0) is None
    assert reassembler.arrived("b", 1, 1, b"b2", 0.0) is None
    assert reassembler.arrived("a", 1, 1, b"a2", 0.0) == b"a1a2"
    assert reassembler.arrived("b", 0, 1, b"b1", 0.0) == b"b1b2"


def test_contradictions_are_dropped_and_harm_nothing() -> None:
    reassembler = Reassembler()
    assert reassembler.arrived("a", 0, 1, b"a1", 0.0) is None
    assert reassembler.arrived("a", 0, 1, b"XX", 0.0) is None
    assert reassembler.arrived("a", 1, 2, b"XX", 0.0) is None
    assert reassembler.arrived("b", 3, 2, b"XX", 0.0) is None
    assert reassembler.arrived("a", 1, 1, b"a2", 0.0) == b"a1a2"
    assert reassembler.octets == 0


def test_what_waits_too_long_is_given_up() -> None:
    reassembler = Reassembler(patience=2.0)
    reassembler.arrived("a", 0, 1, b"a1", 0.0)
    reassembler.expire(1.9)
    assert (reassembler.octets, reassembler.incomplete) == (2, 0)
    reassembler.expire(2.0)
    assert (reassembler.octets, reassembler.incomplete) == (0, 1)


def test_the_oldest_makes_room() -> None:
    reassembler = Reassembler(most_octets=1000)
    for number in range(200):
        reassembler.arrived(number, 0, 1, bytes(100), 0.0)
        assert reassembler.octets <= 1000
    assert reassembler.incomplete == 190
    assert reassembler.arrived(199, 1, 1, b"!", 0.0) == bytes(100) + b"!"
