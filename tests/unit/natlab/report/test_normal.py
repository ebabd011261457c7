"""What two reports of one seed have in common."""

from __future__ import annotations

from dataclasses import replace

from natlab.evidence.journey import Fate
from natlab.evidence.result import Report
from natlab.report.normal import masked, normal_form
from tests.unit.natlab.cells import cell, hello

FIRST = hello(1, Fate.DROPPED)
LATER = replace(FIRST, t=FIRST.t + 1, source="10.0.1.2:1", translated="203.0.113.2:2")


def test_times_and_ports_are_no_difference() -> None:
    one, other = (
        Report({"date": str(n)}, (cell("symmetric", "none", hellos=(each,), packets=()),))
        for n, each in enumerate((FIRST, LATER))
    )
    assert normal_form(one) == normal_form(other)


def test_another_fate_is_a_difference() -> None:
    one, other = (
        Report({}, (cell("symmetric", "none", hellos=(each,), packets=()),))
        for each in (FIRST, replace(FIRST, fate=Fate.DELIVERED))
    )
    assert normal_form(one) != normal_form(other)


def test_words_keep_all_but_their_times_and_ports() -> None:
    text = "nat_a dropped HELLO 3 (from port 15666 of nat_b, not 23250) at 0.1 s: sent to 192.0.2.2:6545"
    assert masked(text) == (
        "nat_a dropped HELLO 3 (from port PORT of nat_b, not PORT) at TIME: sent to 192.0.2.2:PORT"
    )
