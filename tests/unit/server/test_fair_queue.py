"""Turns that are fair to every source."""

from __future__ import annotations

from nat_traversal.server.fair_queue import FairQueue, Rank


def drained(queue: FairQueue[str]) -> list[str]:
    items = []
    while queue:
        item = queue.pop_urgent() or queue.pop_other()
        assert item is not None
        items.append(item)
    return items


def test_sources_take_turns_however_much_one_has() -> None:
    for rank in (Rank.KNOWN, Rank.BUSY):
        queue: FairQueue[str] = FairQueue()
        for item in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
            queue.put(item, item[0], rank)
        assert drained(queue) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_known_hosts_come_before_new_ones_and_these_before_busy_sources() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.put(f"a{number}", "a", Rank.BUSY)
    assert not queue.pop_urgent()
    queue.put("n1", "n", Rank.NEW)
    for item in ("b1", "b2", "c1"):
        queue.put(item, item[0], Rank.KNOWN)
    assert queue.has_urgent
    assert drained(queue) == ["b1", "c1", "b2", "n1", "a0", "a1", "a2"]


def test_the_newest_of_many_new_sources_is_next_and_every_fourth_time_the_oldest() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "b1", "c1", "d1", "e1", "e2", "f1"):
        queue.put(item, item[0], Rank.NEW)
    assert drained(queue) == ["f1", "e1", "e2", "a1", "d1", "c1", "b1"]


def test_an_empty_queue_has_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    assert not queue
    assert queue.pop_urgent() is queue.pop_other() is None
