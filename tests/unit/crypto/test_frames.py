"""Sealed frames: what goes in comes out once, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.crypto.frames import (
    HEADER_OCTETS,
    TAG_OCTETS,
    FrameCounters,
    Opener,
    Sealer,
)
from nat_traversal.crypto.schedule import DirectionKeys
from nat_traversal.wire.offers import Suite

KEYS = DirectionKeys(b"s" * 32, b"h" * 32)
CONNECTION = b"conn"
DATA, PING = 0xC7, 0xC4
INNER = b"\x01\x00\x00\x00\x07"
SUITES = list(Suite)


def sealer(suite: Suite, keys: DirectionKeys = KEYS) -> Sealer:
    return Sealer(suite, keys, CONNECTION, unsealed_kinds={DATA})


def opener(suite: Suite, keys: DirectionKeys = KEYS, connection: bytes = CONNECTION) -> Opener:
    return Opener(suite, keys, connection, FrameCounters(), unsealed_kinds={DATA})


def opened(by: Opener, frame: bytes) -> list[tuple[int, bytes]]:
    place = memoryview(bytearray(70_000))
    return [
        (kind, bytes(plain)) for kind, plain in by.open_run(memoryview(frame), len(frame), place)
    ]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kind", [DATA, PING])
@pytest.mark.parametrize("plain", [b"", b"x", bytes(range(256)) * 5])
def test_what_is_sealed_opens_once(suite: Suite, kind: int, plain: bytes) -> None:
    ours, theirs = sealer(suite), opener(suite)
    frame = ours.seal(kind, plain)
    assert len(frame) == len(plain) + ours.overhead(kind)
    assert opened(theirs, frame) == [(kind, plain)]
    assert opened(theirs, frame) == []
    assert theirs._counters == FrameCounters(replayed=1)


@pytest.mark.parametrize("suite", SUITES)
@given(size=st.integers(0, 300), count=st.integers(1, 20), last=st.integers(0, 300))
def test_a_run_is_the_same_as_its_datagrams_one_by_one(
    suite: Suite, size: int, count: int, last: int
) -> None:
    payloads = [bytes([index]) * size for index in range(count)]
    buffer = memoryview(bytearray(INNER + b"".join(payloads)))
    out, place = memoryview(bytearray(20_000)), memoryview(bytearray(20_000))
    end = sealer(suite).seal_run(DATA, INNER, buffer, len(INNER), size, count, out, 0)

    theirs = opener(suite)
    found = theirs.open_run(out[:end], end // count, place)

    assert [bytes(plain) for _, plain in found] == [INNER + payload for payload in payloads]
    assert theirs.opened == count
    one_by_one = sealer(suite)
    assert bytes(out[:end]) == b"".join(
        one_by_one.seal(DATA, INNER + payload) for payload in payloads
    )


@pytest.mark.parametrize("suite", [suite for suite in SUITES if suite is not Suite.NONE])
def test_no_changed_octet_is_accepted(suite: Suite) -> None:
    frame, theirs = sealer(suite).seal(DATA, INNER + b"datagram"), opener(suite)
    for position in range(len(frame)):
        for bit in range(8):
            changed = bytearray(frame)
            changed[position] ^= 1 << bit
            assert opened(theirs, bytes(changed)) == []
    assert opened(theirs, frame) == [(DATA, INNER + b"datagram")]


def test_without_encryption_what_keeps_the_path_is_authentic_all_the_same() -> None:
    frame, theirs = sealer(Suite.NONE).seal(PING, b"transaction"), opener(Suite.NONE)
    for position in range(len(frame)):
        changed = bytearray(frame)
        changed[position] ^= 1
        if position == 0:
            changed[0] = PING + 1
        assert opened(theirs, bytes(changed)) == [], position
    assert opened(theirs, frame) == [(PING, b"transaction")]


@pytest.mark.parametrize("length", range(HEADER_OCTETS + TAG_OCTETS))
def test_no_shortened_frame_is_accepted(length: int) -> None:
    frame, theirs = sealer(Suite.AES_256_GCM).seal(DATA, b"x"), opener(Suite.AES_256_GCM)
    assert opened(theirs, frame[:length]) == []
    assert replace(theirs._counters, malformed=0) == FrameCounters()


def test_faults_are_counted_by_kind() -> None:
    frame = sealer(Suite.AES_256_GCM).seal(DATA, b"x")
    assert opened(strange := opener(Suite.AES_256_GCM, connection=b"gone"), frame) == []
    assert strange._counters == FrameCounters(stranger=1)
    assert opened(other := opener(Suite.AES_256_GCM, DirectionKeys(b"o" * 32, b"")), frame) == []
    assert other._counters == FrameCounters(not_authentic=1)


def test_a_forged_counter_moves_no_window() -> None:
    ours, theirs = sealer(Suite.AES_256_GCM), opener(Suite.AES_256_GCM)
    first, second = ours.seal(DATA, b"1"), ours.seal(DATA, b"2")
    forged = second[:5] + b"\xff" * 6 + second[11:]
    assert opened(theirs, forged) == []
    assert opened(theirs, first) == [(DATA, b"1")]
    assert opened(theirs, second) == [(DATA, b"2")]


def test_a_bad_frame_in_a_run_costs_only_itself() -> None:
    ours, theirs = sealer(Suite.AES_256_GCM), opener(Suite.AES_256_GCM)
    run = bytearray(b"".join(ours.seal(DATA, bytes([index])) for index in range(3)))
    step = len(run) // 3
    run[step + 20] ^= 1
    found = theirs.open_run(memoryview(run), step, memoryview(bytearray(99)))
    assert [bytes(plain) for _, plain in found] == [b"\x00", b"\x02"]


def test_no_counter_comes_twice() -> None:
    ours = sealer(Suite.AES_256_GCM)
    frames = [ours.seal(DATA, b"x") for _ in range(100)]
    assert len({frame[5:11] for frame in frames}) == ours.counter == 100
