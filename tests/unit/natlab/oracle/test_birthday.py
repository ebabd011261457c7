"""The model's word on `birthday`: it opens the pairs of which one NAT keeps ports, and says how seldom chance fails it."""

from __future__ import annotations

from itertools import product

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.behavior import NINE
from natlab.oracle.methods import birthday
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import LADDER, WITH_CHANCE, method_of, predict
from natlab.oracle.rungs import Rung, rung


def test_it_opens_the_pairs_of_the_reviewed_table_of_which_one_nat_keeps_ports() -> None:
    due = [pair for pair in product(NINE, NINE) if rung(*pair) is Rung.BIRTHDAY]
    keeping = [pair for pair in due if any(nat.startswith("EIM") for nat in pair)]
    opened = [pair for pair in product(NINE, NINE) if _opens(*pair) and _is_needed(*pair)]
    assert opened == keeping
    assert len(keeping) == 12


@pytest.mark.parametrize(
    "nats", [("symmetric", "linux-masquerade"), ("mobile-carrier", "home-router")]
)
def test_the_presets_open_in_both_places(nats: tuple[str, str]) -> None:
    assert _opens(*nats)
    assert _opens(*nats[::-1])
    assert method_of(*nats, WITH_CHANCE) is MethodName.BIRTHDAY
    assert method_of(*nats, LADDER) is MethodName.RELAY


@pytest.mark.parametrize(
    "nats", [("symmetric", "symmetric"), ("APDM+APDF+order-sensitive", "EIM+APDF")]
)
def test_two_random_ports_and_an_opener_that_needs_its_sockets_first_are_not_opened(
    nats: tuple[str, str],
) -> None:
    assert not _opens(*nats)


def test_a_run_may_fail_by_chance_and_no_other_may() -> None:
    by_chance = predict("symmetric", "EIM+APDF", birthday.NAME)
    assert by_chance.outcomes == {Outcome.CONNECTED, Outcome.FAILED}
    assert 0.997 < by_chance.share < 0.998
    assert predict("EIM+EIF", "EIM+EIF").outcomes == {Outcome.CONNECTED}


def _opens(nat_a: str, nat_b: str) -> bool:
    return birthday.predict(nat_a, nat_b).outcome is Outcome.CONNECTED


def _is_needed(nat_a: str, nat_b: str) -> bool:
    return rung(nat_a, nat_b) is not Rung.ORDERED_HELLO
