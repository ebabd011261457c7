"""Paths that were set aside: which of them go on, and which end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nat_traversal.client import older
from nat_traversal.client.phases import Established
from nat_traversal.machine.sockets import UdpSocket


def standing(generation: int, instance: bytes) -> Established:
    """A path of that socket to the peer's process `instance`, as far as this room looks at it."""
    path = SimpleNamespace(end=None, deadline=100.0 + generation)
    phase = SimpleNamespace(
        path=path,
        socket=UdpSocket(generation),
        round=SimpleNamespace(peer=SimpleNamespace(instance=instance)),
    )
    return cast(Established, phase)


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sockets that were closed."""
    numbers: list[int] = []

    def closing(phase: Any) -> list[Any]:
        numbers.append(phase.socket.generation)
        return []

    monkeypatch.setattr(older, "closing", closing)
    return numbers


def test_paths_to_an_earlier_process_of_the_peer_end_and_others_go_on(closed: list[int]) -> None:
    kept = older.OlderPaths()
    first, second = standing(1, b"old"), standing(2, b"new")
    for phase in (first, second):
        kept.add(phase)
    kept.of_another(b"new", "it has restarted")
    assert (closed, kept.paths) == ([1], [second.path])
    assert (first.path.end, second.path.end) == ("it has restarted", None)


def test_the_oldest_makes_room(closed: list[int]) -> None:
    kept = older.OlderPaths()
    for generation in range(1, older.MOST + 3):
        kept.add(standing(generation, b""))
    assert closed == [1, 2]
    assert len(kept.paths) == older.MOST


def test_one_that_neither_side_uses_is_closed_in_time_and_one_that_carries_again_stays(
    closed: list[int],
) -> None:
    kept = older.OlderPaths()
    left, carries = standing(1, b""), standing(2, b"")
    for phase in (left, carries):
        kept.add(phase)
        kept.leave(phase.path, 3.0)
    kept.keep(carries.path)
    assert kept.deadline == 3.0
    kept.due(3.0)
    assert (closed, kept.paths) == ([1], [carries.path])
