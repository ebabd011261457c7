"""The model's word on `prediction`: it opens just the pairs whose guessed ports all come in sequence."""

from __future__ import annotations

from itertools import product

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.behavior import NINE
from natlab.oracle.methods import prediction
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import method_of, predict
from natlab.oracle.rungs import Rung, rung


def in_sequence(nat: str) -> str:
    return nat if nat.startswith("EIM") else f"{nat}+sequential"


def test_it_opens_every_pair_that_the_reviewed_table_gives_it_where_ports_come_in_sequence() -> (
    None
):
    pairs = [(in_sequence(a), in_sequence(b)) for a, b in product(NINE, NINE)]
    due = [pair for pair in pairs if rung(*pair) is Rung.PREDICTION]
    assert len(due) == 39
    opened = [pair for pair in due if prediction.predict(*pair).outcome is Outcome.CONNECTED]
    assert opened == due
    assert {method_of(*pair) for pair in due} == {MethodName.PREDICTION}


def test_it_opens_all_of_them_where_ports_are_kept_too() -> None:
    kept = [nat if nat.startswith("EIM") else f"{nat}+preserving" for nat in NINE]
    due = [pair for pair in product(kept, kept) if rung(*pair) is Rung.PREDICTION]
    assert len(due) == 39
    assert [pair for pair in due if prediction.predict(*pair).outcome is Outcome.CONNECTED] == due
    assert {method_of(*pair) for pair in due} == {MethodName.PREDICTION}
    mixed = predict("APDM+APDF+preserving", "ADM+APDF+sequential", prediction.NAME)
    assert mixed.outcome is Outcome.CONNECTED


@pytest.mark.parametrize(
    ("nat_a", "nat_b"),
    [
        ("APDM+APDF", "EIM+APDF"),
        ("APDM+APDF", "APDM+APDF+sequential"),
        ("APDM+APDF+block-per-host", "EIM+APDF"),
        ("udp-blocked", "APDM+APDF+sequential"),
    ],
)
def test_it_opens_nothing_where_a_port_comes_by_chance(nat_a: str, nat_b: str) -> None:
    assert predict(nat_a, nat_b, prediction.NAME).outcome is Outcome.FAILED


def test_order_sensitive_nat_takes_part_since_first_packets_cross() -> None:
    assert predict("linux-masquerade", "APDM+APDF+sequential", prediction.NAME).round == 3
