"""`lab run` of the project's clients: its last word is the way of the datagrams, as in the matrix."""

from __future__ import annotations

from dataclasses import replace

from natlab.evidence.way import Kind
from natlab.report.words import verdict
from tests.unit.natlab.cells import BROKEN, FORBIDDEN, cell


def test_a_pair_that_is_relayed_has_not_failed() -> None:
    relayed = replace(FORBIDDEN, path=Kind.RELAYED, through="turn", predicted_method="turn")
    nats = f"{relayed.nat_a} × {relayed.nat_b}"
    assert verdict(relayed) == f"{nats}: relayed through turn (predicted: relayed)"


def test_the_others_end_as_they_did() -> None:
    told = [verdict(each).partition(": ")[2] for each in (cell(), FORBIDDEN, BROKEN)]
    assert told[0] == "connected in round 1 (predicted: connected)"
    assert told[1] == "failed (predicted: failed)"
    assert told[2].startswith("broken (predicted: ")
