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
from nat_traversal.wire.tray import Run, Tray

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
    return opened_run(by, frame, len(frame))


def opened_run(by: Opener, frames: bytes, size: int) -> list[tuple[int, bytes]]:
    """Frames of `size` octets, one behind the other; the last may be shorter."""
    run = Run.between(Tray.of(frames), 0, len(frames), size)
    found, index, to = by.open_run(run, 0, Tray(70_000), 0)
    assert index == run.total
    plains = [(kind, bytes(plain)) for kind, each, _ in found for plain in each.parts()]
    assert to <= sum(len(plain) for _, plain in plains)
    return plains


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
@given(
    size=st.integers(0, 300),
    count=st.integers(1, 80),
    last=st.integers(1, 300),
    before=st.sampled_from([0, 1, 200, 250, 255, 65_530]),
)
def test_a_run_is_the_same_as_its_datagrams_one_by_one(
    suite: Suite, size: int, count: int, last: int, before: int
) -> None:
    count = count if size else 1
    payloads = [bytes([index]) * size for index in range(count)]
    payloads[-1] = payloads[-1][:last]
    octets = INNER + b"".join(payloads)
    run = Run.between(Tray.of(octets), len(INNER), len(octets), size)
    out = Tray(30_000)
    ours, one_by_one = sealer(suite), sealer(suite)
    ours.counter = one_by_one.counter = before

    end = ours.seal_run(DATA, [INNER] * count, run, out, 7)

    frames = [one_by_one.seal(DATA, INNER + payload) for payload in payloads]
    assert bytes(out.octets[7:end]) == b"".join(frames)
    plains = [INNER + payload for payload in payloads]
    assert [ours.reopen(memoryview(frame)) for frame in frames] == [
        (DATA, plain) for plain in plains
    ]
    theirs = opener(suite)
    found = opened_run(theirs, bytes(out.octets[7:end]), len(frames[0]))
    assert found == [(DATA, plain) for plain in plains]
    assert theirs.opened == count
    assert theirs.newest == before + count - 1
    assert opened_run(theirs, bytes(out.octets[7:end]), len(frames[0])) == []
    assert theirs._counters == FrameCounters(replayed=count)


@pytest.mark.parametrize("suite", SUITES)
@given(st.data())
def test_a_run_in_any_order_with_any_gaps_opens_as_its_frames_do(
    suite: Suite, data: st.DataObject
) -> None:
    """Two neighbours that changed places, a frame that came twice, one that is lost, other kinds in between."""
    ours = sealer(suite)
    pings = data.draw(st.sets(st.integers(0, 59), max_size=12))
    frames = [ours.seal(PING if at in pings else DATA, b"x" * 9) for at in range(60)]
    if suite is Suite.NONE:
        frames = [frame for frame in frames if frame[0] == DATA]
    order = list(range(len(frames)))
    for at in data.draw(st.lists(st.integers(0, len(frames) - 2), max_size=4)):
        order[at], order[at + 1] = order[at + 1], order[at]
    for at in data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=3)):
        order.insert(at, order[-1 - at])
        del order[at // 2]
    whole, one_by_one = opener(suite), opener(suite)
    found = opened_run(whole, b"".join(frames[at] for at in order), len(frames[0]))
    assert found == [each for at in order for each in opened(one_by_one, frames[at])]
    assert (whole._counters, whole.newest) == (one_by_one._counters, one_by_one.newest)


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


@pytest.mark.parametrize("bad", [0, 1, 11, 19])
@pytest.mark.parametrize("at", [0, 1, 5, 10, 12, 27])
def test_a_bad_frame_in_a_run_costs_only_itself(bad: int, at: int) -> None:
    ours, theirs = sealer(Suite.AES_256_GCM), opener(Suite.AES_256_GCM)
    run = bytearray(b"".join(ours.seal(DATA, bytes([index])) for index in range(20)))
    step = len(run) // 20
    run[bad * step + at] ^= 1
    found = (
        [plain for _, plain in opened_run(theirs, bytes(run), step)] if at not in _OTHERS else []
    )
    if at in _OTHERS:  # of another connection: whoever has the epochs goes on behind it
        tray = Run.between(Tray.of(bytes(run)), 0, len(run), step)
        index = 0
        while index < tray.total:
            some, index, _ = theirs.open_run(tray, index, Tray(99), 0)
            found += [bytes(plain) for _, each, _ in some for plain in each.parts()]
    assert found == [bytes([index]) for index in range(20) if index != bad]
    counters = theirs._counters
    assert counters.malformed + counters.stranger + counters.replayed + counters.not_authentic == 1


_OTHERS = range(1, 5)


def test_no_counter_comes_twice() -> None:
    ours = sealer(Suite.AES_256_GCM)
    frames = [ours.seal(DATA, b"x") for _ in range(100)]
    assert len({frame[5:11] for frame in frames}) == ours.counter == 100
