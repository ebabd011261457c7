"""Which rung opens a pair of NATs: worked out on the model, and as `docs/rungs.md` tells it."""

from __future__ import annotations

import itertools
import re

import pytest

from natlab.behavior import NINE
from natlab.oracle import path_can_open
from natlab.oracle.guessing import guesses
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from natlab.oracle.rungs import Rung, rung
from tests import ROOT

PAIRS = list(itertools.product(NINE, repeat=2))
CLOSED = [pair for pair in PAIRS if predict(*pair).outcome is Outcome.FAILED]
PAGE = (ROOT / "docs" / "rungs.md").read_text(encoding="utf-8")
ALLOCATIONS = (("sequential", "preserving"), ("block-per-host",), ("random",))
"""Of the columns of the page's table."""
WHOSE = {
    "the first": {frozenset({"host_a"})},
    "the second": {frozenset({"host_b"})},
    "either": {frozenset({"host_a"}), frozenset({"host_b"})},
    "both": {frozenset({"host_a", "host_b"})},
}


def rows() -> list[list[str]]:
    found = re.search(r"<!-- table: rungs -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert found
    lines = found.group(1).strip().splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def with_allocation(nat: str, allocation: str) -> str:
    """A NAT that maps by destination, with that allocation; the others keep their ports."""
    is_usual = nat.startswith("EIM") or allocation == "random"
    return nat if is_usual else f"{nat}+{allocation}"


def test_thirty_nine_pairs_are_closed_to_ordered_hellos_and_each_is_in_the_table() -> None:
    listed = {pair for one, other, *_ in rows() for pair in ((one, other), (other, one))}
    assert len(CLOSED) == 39
    assert listed == set(CLOSED)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]} {row[1]}")
def test_the_table_is_the_oracles(row: list[str]) -> None:
    one, other, whose, *cells = row
    assert guesses(one, other) == WHOSE[whose]
    for cell, allocations in zip(cells, ALLOCATIONS, strict=True):
        for allocation in allocations:
            pair = (with_allocation(one, allocation), with_allocation(other, allocation))
            assert rung(*pair) == rung(*pair[::-1]) == cell


@pytest.mark.parametrize(("nat_a", "nat_b"), PAIRS)
def test_a_pair_of_ordered_hellos_needs_no_guess(nat_a: str, nat_b: str) -> None:
    needs_none = guesses(nat_a, nat_b) == {frozenset()}
    assert needs_none == ((nat_a, nat_b) not in CLOSED)
    if needs_none:
        assert path_can_open(nat_a, nat_b)
        assert rung(nat_a, nat_b) is Rung.ORDERED_HELLO


@pytest.mark.parametrize(
    ("nat_a", "nat_b", "expected"),
    [
        ("linux-masquerade", "linux-masquerade", Rung.SIMULTANEOUS),
        ("symmetric", "none", Rung.ORDERED_HELLO),
        ("EIM+APDF", "EIM+EIF+no-udp", Rung.NONE),
        ("APDM+APDF+sequential", "APDM+APDF", Rung.RELAY),
        ("APDM+APDF+sequential", "APDM+APDF+preserving", Rung.PREDICTION),
    ],
)
def test_other_pairs(nat_a: str, nat_b: str, expected: Rung) -> None:
    assert rung(nat_a, nat_b) is expected
    assert rung(nat_b, nat_a) is expected
