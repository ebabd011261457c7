"""Bundles: any order of frames gives the datagrams back, a lost one costs only its own, and nothing waits without bounds."""

from __future__ import annotations

import random
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.paths.bundles import MOST_PAYLOAD, Bundler, Unbundler, records_in
from nat_traversal.wire.tray import Run, Tray
from tests.unit.bundled import Datagram, bundled

DATAGRAMS = st.lists(
    st.tuples(
        st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=60) | st.just(b"x" * 250)
    ),
    min_size=1,
    max_size=30,
)
CONTENTS = st.integers(1, 90)


def taken(unbundler: Unbundler, number: int, plain: bytes, now: float = 0.0) -> list[Datagram]:
    """What has come by that frame."""
    found = unbundler.arrived(number, memoryview(plain), now)
    return [(direction, flow, bytes(payload)) for direction, flow, payload in found]


def where(datagrams: list[Datagram], content: int) -> list[range]:
    """The frames in which each datagram lies, reckoned from lengths alone."""
    places, at = [], 0
    for _, _, payload in datagrams:
        end = at + 7 + len(payload)
        places.append(range(at // content, (end - 1) // content + 1))
        at = end
    return places


@given(DATAGRAMS, CONTENTS, st.randoms(use_true_random=False))
def test_any_order_of_frames_gives_each_datagram_back_once(
    datagrams: list[Datagram], content: int, rng: random.Random
) -> None:
    frames = list(enumerate(bundled(datagrams, content), 7))
    in_order, shuffled = Unbundler(), Unbundler()
    assert [each for frame in frames for each in taken(in_order, *frame)] == datagrams
    rng.shuffle(frames)
    assert sorted(each for frame in frames for each in taken(shuffled, *frame)) == sorted(datagrams)
    for unbundler in (in_order, shuffled):
        assert (unbundler.octets, unbundler.incomplete, unbundler.malformed) == (0, 0, 0)
        assert unbundler.deadline is None


@given(DATAGRAMS, CONTENTS, st.data())
def test_frames_of_one_size_together_are_the_same_as_one_by_one(
    datagrams: list[Datagram], content: int, data: st.DataObject
) -> None:
    """However the frames are cut, and in whatever order these come; also where some octets are wrong."""
    octets = bytearray(b"".join(bundled(datagrams, content)))
    step = content + 2
    count = -(-len(octets) // step)
    carried = st.integers(0, count - 1).map(lambda frame: frame * step + 1)
    wrong = st.tuples(carried | st.integers(0, len(octets) - 1), st.integers(0, 255))
    for at, octet in data.draw(st.lists(wrong, max_size=2)):
        octets[at] = octet
    cuts = sorted({0, count, *data.draw(st.sets(st.integers(1, count), max_size=3))})
    tray = Tray.of(bytes(octets))
    together, one_by_one = Unbundler(), Unbundler()
    for first, after in data.draw(st.permutations(list(pairwise(cuts)))):
        run = Run.between(tray, first * step, min(after * step, len(octets)), step)
        found = [(*of, bytes(payload)) for *of, payload in together.arrived_run(first, run, 0.0)]
        single = [taken(one_by_one, first + at, bytes(part)) for at, part in enumerate(run.parts())]
        assert found == [each for some in single for each in some]
    for name in ("octets", "malformed", "deadline"):
        assert getattr(together, name) == getattr(one_by_one, name), name
    for unbundler in (together, one_by_one):
        unbundler.give_up()
    assert together.incomplete == one_by_one.incomplete


@given(DATAGRAMS, CONTENTS, st.data())
def test_a_lost_frame_takes_the_datagrams_that_lie_in_it_and_no_others(
    datagrams: list[Datagram], content: int, data: st.DataObject
) -> None:
    frames = dict(enumerate(bundled(datagrams, content)))
    lost = data.draw(st.sets(st.sampled_from(sorted(frames)), min_size=1))
    rest = data.draw(st.permutations(sorted(frames.keys() - lost)))
    places = where(datagrams, content)
    expected = [
        datagram
        for datagram, place in zip(datagrams, places, strict=True)
        if lost.isdisjoint(place)
    ]
    unbundler = Unbundler(patience=2.0)
    came = [each for number in rest for each in taken(unbundler, number, frames[number])]
    assert sorted(came) == sorted(expected)
    unbundler.expire(2.0)
    assert unbundler.octets == 0
    began = [place for place in places if place.start not in lost and not lost.isdisjoint(place)]
    assert (unbundler.incomplete, unbundler.malformed) == (len(began), 0)


@given(DATAGRAMS, CONTENTS)
def test_the_sender_knows_which_frames_each_datagram_lies_in(
    datagrams: list[Datagram], content: int
) -> None:
    frames = enumerate(bundled(datagrams, content))
    found = [(place, (*of, bytes(payload))) for place, (*of, payload) in records_in(frames)]
    assert found == list(zip(where(datagrams, content), datagrams, strict=True))


@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=40)), max_size=40))
def test_whatever_a_peer_seals_raises_nothing_and_stays_within_bounds(
    frames: list[tuple[int, bytes]],
) -> None:
    unbundler = Unbundler(most_octets=60)
    for number, octets in dict(frames).items():
        # What is carried, and the first length, are small: so parts meet.
        plain = bytes([0, 9, *octets[2:7], 0])[: len(octets)] + octets[8:]
        for _, _, payload in unbundler.arrived(number, memoryview(plain), 0.0):
            assert len(payload) <= 400
        assert unbundler.octets <= 60
    unbundler.give_up()
    assert (unbundler.octets, unbundler.deadline) == (0, None)


def record(payload: bytes, length: int | None = None) -> bytes:
    return struct.pack("!BIH", 1, 7, len(payload) if length is None else length) + payload


WHOLE = (1, 7, b"whole")


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0\5",
        b"\0\0" + record(b"whole") + record(b"x", MOST_PAYLOAD + 1),
        b"\0\3" + b"end" + record(b"x", MOST_PAYLOAD + 1),
    ],
)
def test_a_frame_with_lengths_that_cannot_be_is_dropped_as_a_whole(plain: bytes) -> None:
    unbundler = Unbundler()
    assert taken(unbundler, 5, plain) == []
    assert (unbundler.malformed, unbundler.octets) == (1, 0)


def test_a_datagram_longer_than_any_is_dropped_even_if_its_length_comes_in_two_parts() -> None:
    unbundler = Unbundler()
    octets = record(bytes(MOST_PAYLOAD + 1))
    assert taken(unbundler, 1, b"\0\0" + octets[:5]) == []
    assert taken(unbundler, 2, struct.pack("!H", len(octets) - 5) + octets[5:]) == []
    assert (unbundler.malformed, unbundler.octets) == (1, 0)


@pytest.mark.parametrize("length", [3, 5, 7, 100])
def test_a_datagram_whose_parts_contradict_each_other_is_dropped_alone(length: int) -> None:
    unbundler = Unbundler()
    begins = b"\0\0" + record(b"whole") + record(b"xx", length)
    ends = struct.pack("!H", 4) + b"yyyy" + record(b"whole")
    assert taken(unbundler, 1, begins) == [WHOLE]
    assert taken(unbundler, 2, ends) == [WHOLE]
    assert (unbundler.malformed, unbundler.octets, unbundler.incomplete) == (1, 0, 0)


def test_what_waits_too_long_is_given_up_and_the_older_part_counts() -> None:
    first, second, _ = bundled([(1, 7, b"x" * 50)], 20)
    unbundler = Unbundler(patience=2.0)
    taken(unbundler, 1, first, 0.0)
    taken(unbundler, 2, second, 1.0)
    assert (unbundler.octets, unbundler.deadline) == (40, 2.0)
    unbundler.expire(1.9)
    assert (unbundler.octets, unbundler.incomplete) == (40, 0)
    unbundler.expire(2.0)
    assert (unbundler.octets, unbundler.incomplete) == (0, 1)


def test_the_oldest_makes_room() -> None:
    unbundler = Unbundler(most_octets=1000)
    for number in range(200):
        first, last = bundled([(1, number, bytes(110))], 100)
        assert taken(unbundler, 2 * number, first) == []
        assert unbundler.octets <= 1000
    assert unbundler.incomplete == 190
    assert taken(unbundler, 399, last) == [(1, 199, bytes(110))]


def test_a_bundle_takes_what_its_frames_hold_or_one_longer_datagram() -> None:
    bundler = Bundler()
    bundler.begin(100, 2)
    assert bundler.add(1, 7, memoryview(bytes(93)))
    assert not bundler.add(1, 7, memoryview(bytes(94)))
    assert bundler.add(1, 7, memoryview(bytes(93)))
    assert not bundler.add(1, 7, memoryview(b""))
    assert bundler.taken()[1].total == 2
    bundler.begin(100, 2)
    assert bundler.add(1, 7, memoryview(bytes(MOST_PAYLOAD)))
    assert bundler.taken()[1].total == 656
