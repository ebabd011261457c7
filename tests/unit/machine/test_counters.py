"""Counters: made by name, shared by name, read at once."""

from __future__ import annotations

from nat_traversal.machine.counters import Counters


def test_parts_that_ask_for_one_name_share_a_counter() -> None:
    counters = Counters()
    one = counters.counter("lost", "a datagram that was lost")
    other = counters.counter("lost", "a datagram that was lost")
    one.value += 2
    other.value += 1
    assert counters["lost"] == 3
    assert [(each.name, each.meaning) for each in counters] == [
        ("lost", "a datagram that was lost")
    ]


def test_snapshot_is_a_copy_in_the_order_of_making() -> None:
    counters = Counters()
    second, first = counters.counter("b", "one of b"), counters.counter("a", "one of a")
    first.value, second.value = 1, 0
    before = counters.snapshot()
    first.value += 1
    assert list(before.items()) == [("b", 0), ("a", 1)]
    assert counters.snapshot() == {"b": 0, "a": 2}
    assert counters.counted() == {"a": 2}


def test_counter_that_nobody_made_reads_as_nothing() -> None:
    counters = Counters()
    assert counters["never"] == 0
    assert counters.snapshot() == {}


def test_counters_of_a_family_are_apart_by_their_labels() -> None:
    counters = Counters()
    counters.counter("refused", "a connection was refused", code="bad-id").value += 1
    counters.counter("refused", "a connection was refused", code="too-slow").value += 2
    counters.counter("refused", "a connection was refused", code="bad-id").value += 1
    assert counters.snapshot() == {"refused-bad-id": 2, "refused-too-slow": 2}
    assert [(each.family, each.labels) for each in counters] == [
        ("refused", {"code": "bad-id"}),
        ("refused", {"code": "too-slow"}),
    ]


def test_a_gauge_is_read_when_somebody_asks() -> None:
    counters, hosts = Counters(), list[str]()
    counters.gauge("hosts", "hosts that are here", lambda: len(hosts), lambda: 7)
    gauge = counters.gauges["hosts"]
    hosts.append("a")
    assert gauge.most is not None
    assert (gauge.read(), gauge.most()) == (1, 7)
