"""The search for a path's MTU, against paths that carry up to some size, at a distance, with losses."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from nat_traversal.paths.mtu import (
    BASE_IPV4,
    HEADERS_IPV4,
    STEP,
    MtuSettings,
    MtuState,
    PathMtu,
    usual_sizes,
)

CEILING = 1472
P = 0.03125


class Bench:
    """One `PathMtu` on a virtual clock, and a path behind it that answers after `P`."""

    def __init__(self, carries: int, *, lost: Callable[[], bool] = lambda: False) -> None:
        self.now = 0.0
        self.carries = carries
        self.lost = lost
        self.sent: list[tuple[float, int]] = []
        self.answers: list[tuple[float, int]] = []
        self.mtu = PathMtu(BASE_IPV4, usual_sizes(HEADERS_IPV4, BASE_IPV4, CEILING), 0.0)

    def run(self, seconds: float, *, traffic: bool = False) -> None:
        """Let time pass. `traffic`: larger frames than the base size are sent all the while."""
        end = self.now + seconds
        while self.now <= end:
            if traffic:
                self.mtu.larger_sent(self.now)
            self.step()
            times = [at for at, _ in self.answers]
            times += [] if self.mtu.deadline is None else [self.mtu.deadline]
            assert min(times, default=end) > self.now or times == [], "no progress"
            self.now = min([*times, end + 1e-9])
        self.now = end

    def step(self) -> None:
        for at, size in [each for each in self.answers if each[0] <= self.now]:
            self.answers.remove((at, size))
            self.mtu.answered(size, self.now)
        for size in self.mtu.due(self.now, P):
            self.sent.append((self.now, size))
            if size <= self.carries and not self.lost():
                self.answers.append((self.now + P, size))


@pytest.mark.parametrize("packet", [1280, 1400, 1420, 1480, 1492, 1500])
def test_a_usual_size_is_found_after_one_round_trip(packet: int) -> None:
    bench = Bench(packet - HEADERS_IPV4)
    bench.run(P * 1.5)
    assert bench.mtu.size == packet - HEADERS_IPV4
    assert len(bench.sent) == 7


@pytest.mark.parametrize("carries", [BASE_IPV4, 700, 1096, 1252, 1300, 1471, 1472])
def test_any_size_is_found_to_within_a_step(carries: int) -> None:
    bench = Bench(carries)
    bench.run(60.0)
    assert bench.mtu.state is MtuState.FOUND
    assert carries - STEP <= bench.mtu.size <= carries


def losses(chance: random.Random) -> bool:
    return chance.random() < 0.2


def test_losses_do_not_make_it_smaller_for_good() -> None:
    found = []
    for seed in range(50):
        chance = random.Random(seed)
        bench = Bench(1372, lost=partial(losses, chance))
        bench.run(120.0)
        assert bench.mtu.size <= 1372
        found.append(bench.mtu.size)
    assert sorted(found)[5] >= 1372 - STEP


def test_a_path_that_does_not_carry_the_base_size_is_told_and_tried_again() -> None:
    bench = Bench(500)
    bench.run(10.0)
    before = bench.mtu.state
    bench.carries = 1400
    bench.run(30.0)
    assert (before, bench.mtu.state) == (MtuState.TOO_NARROW, MtuState.FOUND)
    assert 1400 - STEP <= bench.mtu.size <= 1400


def test_a_black_hole_sends_it_back_to_base_within_four_probes_and_it_searches_again() -> None:
    bench = Bench(1472)
    bench.run(3.0, traffic=True)
    before = bench.mtu.size
    bench.carries = 1252
    bench.run(4 * MtuSettings().confirm_every + 0.25, traffic=True)
    assert (before, bench.mtu.size) == (1472, 1252)
    bench.run(30.0, traffic=True)
    assert 1252 - STEP <= bench.mtu.size <= 1252


def test_an_idle_path_is_not_probed() -> None:
    bench = Bench(1472)
    bench.run(10.0)
    before = len(bench.sent)
    bench.run(500.0)
    assert len(bench.sent) == before


def test_a_path_that_became_wider_is_found_out() -> None:
    bench = Bench(1252)
    bench.run(60.0)
    bench.carries = 1472
    bench.run(MtuSettings().search_again + 60)
    assert bench.mtu.size == 1472


def test_what_the_own_stack_refuses_is_not_tried_again() -> None:
    bench = Bench(1371)
    bench.step()
    bench.mtu.refused(1372, bench.now)
    bench.run(30.0)
    assert max(size for at, size in bench.sent if at > 0) < 1372
    assert 1371 - STEP <= bench.mtu.size <= 1371


def test_a_base_size_that_the_own_stack_refuses_is_too_narrow_in_the_end() -> None:
    """As where `--mtu` is more than the interface has: there is no smaller size to go back to."""
    mtu = PathMtu(8972, [8972], 0.0)
    tries = 0
    now: float | None = 0.0
    while mtu.state is MtuState.BASE:
        assert now is not None
        for size in mtu.due(now):
            tries += 1
            mtu.refused(size, now)
        now = mtu.deadline
    assert (mtu.state, tries) == (MtuState.TOO_NARROW, MtuSettings().base_tries)


def test_a_given_size_is_asked_for_once_and_never_again() -> None:
    mtu = PathMtu(1252, [1252], 0.0)
    asked = list(mtu.due(0.0))
    assert mtu.answered(1252, P)
    now = P
    mtu.larger_sent(now)
    while now < 3 * MtuSettings().search_again:
        assert mtu.deadline is not None
        now = mtu.deadline
        asked += mtu.due(now)
    assert (asked, mtu.state, mtu.size) == ([1252], MtuState.FOUND, 1252)
