"""The delay line on a clock of the test's own: when each frame comes out, and which."""

from __future__ import annotations

from itertools import groupby, pairwise
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from natlab.links.conditions import Way
from natlab.links.delayline import DelayLine

MS = 1_000_000


def _line(seed: str = "1", **fields: Any) -> DelayLine:
    return DelayLine(Way(**fields), seed)


def _frames(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


def _run(line: DelayLine, frames: list[bytes], gap: int) -> list[tuple[int, bytes]]:
    """Feed a frame every `gap` ns; each with the time at which it came out."""
    out = []

    def release_until(now: float) -> None:
        while (due := line.next_due) is not None and due <= now:
            out.extend([(due, frame) for frame in line.release(due)])

    for number, frame in enumerate(frames):
        release_until(number * gap)
        line.accept(frame, number * gap)
    release_until(inf)
    return out


def test_a_frame_is_due_after_the_delay_and_not_before() -> None:
    line = _line(delay=0.04)
    line.accept(b"frame", 5 * MS)
    assert line.next_due == 45 * MS
    assert line.release(45 * MS - 1) == []
    assert line.release(45 * MS) == [b"frame"]
    assert line.next_due is None


def test_without_conditions_a_frame_is_due_at_once() -> None:
    assert _run(_line(), _frames(3), MS) == [(n * MS, f) for n, f in enumerate(_frames(3))]


def test_late_release_gives_all_that_is_due_in_order() -> None:
    line = _line(delay=0.001)
    for frame in _frames(5):
        line.accept(frame, 0)
    assert line.release(10 * MS) == _frames(5)


def test_rate_serialises_frames_one_behind_the_other() -> None:
    # 1000 octets at 1 Mbit/s take 8 ms.
    line = _line(rate=1_000_000, delay=0.01)
    for _ in range(3):
        line.accept(bytes(1000), 0)
    dues = []
    while (due := line.next_due) is not None:
        line.release(due)
        dues.append(due)
    assert dues == [18 * MS, 26 * MS, 34 * MS]


def test_an_idle_line_saves_no_rate_up() -> None:
    line = _line(rate=1_000_000)
    line.accept(bytes(1000), 0)
    assert line.next_due == 8 * MS
    line.release(8 * MS)
    line.accept(bytes(1000), 100 * MS)
    line.accept(bytes(1000), 100 * MS)
    line.release(108 * MS)
    assert line.next_due == 116 * MS


def test_a_full_line_drops_what_comes_and_has_room_again_after_a_release() -> None:
    line = _line(delay=0.01, limit=2)
    for frame in _frames(3):
        line.accept(frame, 0)
    assert line.release(10 * MS) == _frames(2)
    line.accept(b"again", 10 * MS)
    assert line.release(20 * MS) == [b"again"]
    assert (line.counts.received, line.counts.overflowed, line.counts.released) == (4, 1, 3)


def test_a_dropped_frame_takes_no_rate() -> None:
    line = _line(rate=1_000_000, limit=1)
    line.accept(bytes(1000), 0)
    line.accept(bytes(1000), 0)
    line.release(8 * MS)
    line.accept(bytes(1000), 8 * MS)
    assert line.next_due == 16 * MS


@given(st.text(max_size=5), st.lists(st.integers(0, 5 * MS), min_size=2, max_size=50))
def test_jitter_stays_in_its_range_and_keeps_order(seed: str, gaps: list[int]) -> None:
    line = _line(seed, delay=0.01, jitter=0.004)
    now, came = 0, {}
    for frame, gap in zip(_frames(len(gaps)), gaps, strict=True):
        now += gap
        came[frame] = now
        line.accept(frame, now)
    out = []
    while (due := line.next_due) is not None:
        out += [(due, frame) for frame in line.release(due)]
    assert [frame for _, frame in out] == _frames(len(gaps))
    for due, frame in out:
        # Order may add to the delay, but never beyond what the frame before it was allowed.
        assert 6 * MS <= due - came[frame] <= 14 * MS


def test_jitter_is_spread_evenly_around_the_delay() -> None:
    gap = 20 * MS  # more than twice the jitter: no frame waits for the one before it
    out = _run(_line(delay=0.01, jitter=0.004), _frames(4000), gap)
    offsets = sorted(due - 10 * MS - number * gap for number, (due, _) in enumerate(out))
    for position in (0.1, 0.25, 0.5, 0.75, 0.9):
        expected = (2 * position - 1) * 4 * MS
        assert abs(offsets[int(position * 4000)] - expected) < 0.25 * MS


def test_a_reordered_frame_overtakes_and_the_others_keep_their_order_and_times() -> None:
    plain = _run(_line(delay=0.01), _frames(200), MS)
    line = _line(delay=0.01, reorder=0.1)
    out = _run(line, _frames(200), MS)
    early = [(due, frame) for due, frame in out if due == int.from_bytes(frame, "big") * MS]
    assert 0 < len(early) == line.counts.reordered < 50
    rest = [each for each in out if each not in early]
    assert rest == [each for each in plain if each[1] not in {frame for _, frame in early}]
    assert [frame for _, frame in out] != _frames(200)


def test_a_duplicate_comes_right_behind_its_original() -> None:
    line = _line(delay=0.01, jitter=0.005, duplicate=0.2)
    out = [frame for _, frame in _run(line, _frames(500), MS)]
    twice = sum(one == other for one, other in pairwise(out))
    assert len(out) == 500 + line.counts.duplicated
    assert twice == line.counts.duplicated
    assert sorted(set(out)) == _frames(500)


def test_a_duplicate_takes_its_share_of_the_rate() -> None:
    line = _line(rate=1_000_000, duplicate=1.0)
    line.accept(bytes(1000), 0)
    assert line.release(8 * MS) == [bytes(1000)]
    assert line.next_due == 16 * MS


def test_shares_of_always_and_never() -> None:
    assert _run(_line(loss=1.0), _frames(100), MS) == []
    assert len(_run(_line(duplicate=1.0), _frames(100), MS)) == 200
    assert len(_run(_line(), _frames(100), MS)) == 100


def _survivors(line: DelayLine, gap: int) -> list[bytes]:
    return sorted(frame for _, frame in _run(line, _frames(2000), gap))


def test_the_same_seed_gives_the_same_fate_whatever_the_times() -> None:
    kept = _survivors(_line("7/a", loss=0.1), MS)
    assert _survivors(_line("7/a", loss=0.1), 17) == kept
    assert _survivors(_line("8/a", loss=0.1), MS) != kept


def test_one_condition_leaves_the_fates_under_the_others_alone() -> None:
    kept = _survivors(_line(loss=0.1), MS)
    other = _line(loss=0.1, delay=0.01, jitter=0.01, reorder=0.3, duplicate=0.5)
    assert sorted(set(_survivors(other, MS))) == kept
    assert set(_survivors(_line(loss=0.2), MS)) < set(kept)


def test_shares_come_out_as_asked() -> None:
    """Of 20,000 frames; five standard deviations are 211 at 10 %."""
    line = _line(delay=0.001, loss=0.1, duplicate=0.1, reorder=0.1)
    _run(line, _frames(20_000), MS)
    assert abs(line.counts.lost - 2000) < 211
    assert abs(line.counts.duplicated - 1800) < 211
    assert abs(line.counts.reordered - 1800) < 211


def _runs_of_lost(line: DelayLine, count: int) -> list[int]:
    """How many frames were lost in each run of lost ones."""

    def passes(now: int) -> bool:
        line.accept(b"", now)
        return bool(line.release(now))

    return [len(list(run)) for alive, run in groupby(map(passes, range(count))) if not alive]


def test_losses_come_in_bursts_of_the_mean_length_and_are_no_more_than_asked() -> None:
    """Of 100,000 frames; in five standard deviations of chance the mean is off by 0.35."""
    runs = _runs_of_lost(_line(loss=0.05, burst=5.0), 100_000)
    assert abs(sum(runs) / 100_000 - 0.05) < 0.006
    assert abs(sum(runs) / len(runs) - 5) < 0.8
    alone = _runs_of_lost(_line(loss=0.05), 100_000)
    assert abs(sum(alone) / len(alone) - 1 / 0.95) < 0.05


def test_a_queue_holds_what_waits_for_the_rate_and_not_what_is_on_its_way() -> None:
    line = _line(rate=1_000_000, delay=1.0, queue=2)
    for _ in range(3):
        line.accept(bytes(1000), 0)
    assert line.counts.overflowed == 1
    line.accept(bytes(1000), 8 * MS)  # the first is serialised, though far from its end
    line.accept(bytes(1000), 8 * MS)
    assert (line.counts.received, line.counts.overflowed) == (5, 2)


def test_a_black_hole_swallows_packets_that_are_larger_and_no_others() -> None:
    line = _line(black_hole=1280)
    sizes = (60, 1280 + 14, 1281 + 14, 1514)
    assert [len(frame) for _, frame in _run(line, [bytes(size) for size in sizes], MS)] == [
        60,
        1294,
    ]
    assert line.counts.too_large == 2
