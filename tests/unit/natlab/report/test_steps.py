"""The replay of a cell: what each NAT remembers after each packet, and the sentence for it."""

from __future__ import annotations

import json
from dataclasses import replace

from natlab.evidence.journey import Fate
from natlab.report.replay import replay_of
from natlab.report.steps import steps_of
from tests.unit.natlab.cells import BROKEN, cell, hello

FIRST = replace(hello(1, Fate.DROPPED), reached=0.005)


def test_a_mapping_appears_with_the_packet_that_makes_it_and_a_drop_says_why() -> None:
    one = cell("symmetric", "port-restricted-cone", hellos=(FIRST,), packets=())
    made, dropped = steps_of(one)
    assert (
        "nat_a gives 10.0.1.2:40001 the external port 61234 for 198.51.100.2:50001 alone"
        in made.sentence
    )
    (line,) = made.tables["nat_a"]
    assert (line.inside, line.outside) == ("10.0.1.2:40001", "203.0.113.2:61234")
    assert (line.towards, line.admits) == ("198.51.100.2:50001", "198.51.100.2:50001")
    assert dropped.sentence == "nat_b drops it: nothing inside has the port of 198.51.100.2:50001."
    assert (dropped.start, dropped.end, dropped.fate) == ("nat_a", "nat_b", Fate.DROPPED)


def test_nothing_is_told_of_a_cell_that_broke() -> None:
    assert steps_of(BROKEN) == ()
    assert replay_of(BROKEN, "x") is None


def test_the_data_ends_no_element_and_moments_have_anchors() -> None:
    found = replay_of(cell("symmetric", "none", hellos=(FIRST,), packets=()), "symmetric--none")
    assert found is not None
    assert not set("<>&") & set(found.data)
    assert len(json.loads(found.data)["steps"]) == len(found.steps)
    assert found.place(found.steps[-1]) == "symmetric--none@5.0"
