"""How long a mapping lives, asked of a NAT on a virtual clock, by a machine that may pause."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nat_traversal.wire.endpoint import Endpoint
from natlab.errors import NetworkError
from natlab.probe import lifetimes
from natlab.probe.lifetimes import LIFETIME, TOLERANCE
from natlab.probe.sockets import Exchange


class Clock:
    """Sleeps are longer than asked for by what `pauses` yields, in seconds."""

    def __init__(self, pauses: Iterator[float]) -> None:
        self.now = 1000.0
        self.pauses = pauses

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + next(self.pauses)


class Nat:
    """Its mappings live `lifetime` seconds after the last packet from inside."""

    remotes = (object(),)

    def __init__(self, clock: Clock, lifetime: float) -> None:
        self.clock, self.lifetime = clock, lifetime
        self.used: dict[int, float] = {}

    def open_fence(self) -> None: ...

    def inside(self) -> int:
        self.used[len(self.used)] = self.clock.now
        return len(self.used) - 1

    def send_out(self, _question: str, inside: int, _remote: object) -> Endpoint:
        self.used[inside] = self.clock.now
        return Endpoint("203.0.113.2", 1024 + inside)

    def send_in(self, _question: str, _remote: object, _target: Endpoint, inside: int) -> Any:
        return SimpleNamespace(arrived=self.clock.now - self.used[inside] < self.lifetime)


def lifetime_found(
    monkeypatch: pytest.MonkeyPatch, of: float, pauses: Iterator[float]
) -> tuple[bool, int]:
    """Whether a lifetime that is `of` the configured one is found right; how many mappings it took."""
    clock = Clock(pauses)
    monkeypatch.setattr(lifetimes, "time", clock)
    nat = Nat(clock, of * LIFETIME)
    found = lifetimes.measure(cast("Exchange", nat), LIFETIME, TOLERANCE)
    assert (found.kept_by_outbound, found.kept_by_inbound) == (True, False)
    return found.is_as_configured(TOLERANCE), len(nat.used)


def test_a_right_lifetime_is_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lifetime_found(monkeypatch, 1.0, repeat(0.0)) == (True, 10)


def test_after_a_pause_that_hides_the_end_it_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = chain(repeat(0.0, 4), [0.3 * LIFETIME], repeat(0.0))
    assert lifetime_found(monkeypatch, 1.0, pauses) == (True, 18)


def test_after_a_pause_before_the_refresh_that_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = chain([0.5 * LIFETIME], repeat(0.0))
    assert lifetime_found(monkeypatch, 1.0, pauses) == (True, 20)


def test_a_machine_that_always_pauses_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NetworkError, match="paused whenever it should have asked"):
        lifetime_found(monkeypatch, 1.0, repeat(0.5 * LIFETIME))


@pytest.mark.parametrize("of", [0.8, 1.2])
def test_a_wrong_lifetime_is_none_however_often_it_is_asked(
    of: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, _ = lifetime_found(monkeypatch, of, repeat(0.0))
    assert not right
