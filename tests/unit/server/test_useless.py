"""Which datagrams a server that cannot keep up does not read."""

from __future__ import annotations

from nat_traversal.machine.counters import Counters
from nat_traversal.server.useless import SPARED, UselessDatagrams


def flooded(counters: Counters | None = None) -> UselessDatagrams:
    useless = UselessDatagrams(counters or Counters())
    useless.begin(0.0)
    for _ in range(SPARED):
        useless.led_to_nothing("192.0.2.9")
    return useless


def test_while_it_keeps_up_nobody_is_shed() -> None:
    assert not flooded().sheds("192.0.2.9")


def test_while_it_is_behind_those_are_shed_whose_datagrams_lead_to_nothing_and_no_others() -> None:
    counters = Counters()
    useless = flooded(counters)
    useless.is_behind = True
    useless.led_to_nothing("192.0.2.1")
    assert useless.sheds("192.0.2.9")
    assert not useless.sheds("192.0.2.1")
    assert not useless.sheds("192.0.2.2")
    assert counters["datagrams-shed"] == 1


def test_after_a_second_everybody_is_read_again() -> None:
    useless = flooded()
    useless.is_behind = True
    useless.begin(0.5)
    assert useless.sheds("192.0.2.9")
    useless.begin(1.0)
    assert not useless.sheds("192.0.2.9")
