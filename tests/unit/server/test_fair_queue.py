"""Turns that are fair to every source."""

from __future__ import annotations

import pytest

from nat_traversal.server.fair_queue import FairQueue, Rank


def drained(queue: FairQueue[str]) -> list[str]:
    items = []
    while queue:
        item = queue.pop_urgent() or queue.pop_other()
        assert item is not None
        items.append(item)
    return items


def test_busy_sources_take_turns_however_much_one_has() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
        queue.put(item, item[0], Rank.BUSY)
    assert drained(queue) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_known_hosts_and_new_ones_take_turns_and_come_before_busy_sources() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.put(f"a{number}", "a", Rank.BUSY)
    for number in range(3):
        queue.put(f"n{number}", "n", Rank.NEW)
    for number in range(2):
        queue.put(f"k{number}", "k", Rank.KNOWN)
    assert queue.has_urgent
    assert drained(queue) == ["k0", "n0", "k1", "n1", "n2", "a0", "a1", "a2"]


@pytest.mark.parametrize("rank", [Rank.KNOWN, Rank.NEW])
def test_the_newest_urgent_source_is_next_and_every_fourth_time_the_oldest(rank: Rank) -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "b1", "c1", "d1", "e1", "f1"):
        queue.put(item, item[0], rank)
    assert drained(queue) == ["f1", "e1", "d1", "a1", "c1", "b1"]


def test_an_urgent_source_with_much_to_say_lets_the_others_come_between() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "b1", "c1", "c2", "c3"):
        queue.put(item, item[0], Rank.NEW)
    assert drained(queue) == ["c1", "b1", "a1", "c2", "c3"]


def test_an_empty_queue_has_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    assert not queue
    assert queue.pop_urgent() is queue.pop_other() is None
