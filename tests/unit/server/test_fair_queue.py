"""Turns that are fair to every source."""

from __future__ import annotations

from nat_traversal.server.fair_queue import FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    items = []
    while queue:
        item = queue.pop_urgent() or queue.pop_other()
        assert item is not None
        items.append(item)
    return items


def test_sources_take_turns_however_much_one_has() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
        queue.put(item, item[0], is_urgent=False)
    assert drained(queue) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_what_is_urgent_comes_first_and_is_fair_too() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.put(f"a{number}", "a", is_urgent=False)
    assert not queue.pop_urgent()
    for item in ("b1", "b2", "c1"):
        queue.put(item, item[0], is_urgent=True)
    assert queue.has_urgent
    assert drained(queue) == ["b1", "c1", "b2", "a0", "a1", "a2"]


def test_an_empty_queue_has_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    assert not queue
    assert queue.pop_urgent() is queue.pop_other() is None
