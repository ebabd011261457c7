"""Budgets of attempts: of a pair, of a source, of all."""

from __future__ import annotations

from nat_traversal.machine.counters import Counters
from nat_traversal.server.attempts import MOST_WAIT, AttemptBudgets
from nat_traversal.settings import ServerSettings

NOWHERE: frozenset[str] = frozenset()
HERE = frozenset({"192.0.2.1"})


def budgets(settings: ServerSettings | None = None) -> AttemptBudgets:
    return AttemptBudgets(settings or ServerSettings(), Counters())


def test_a_pair_has_three_at_once_and_one_every_five_seconds() -> None:
    these = budgets()
    pair = ("a", "b")
    assert [these.reserve(pair, NOWHERE, 0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 5.0, 10.0]
    assert these.reserve(("a", "c"), NOWHERE, 0.0) == 0.0, "another pair has its own"


def test_a_pair_that_comes_back_over_a_new_connection_finds_its_old_budget() -> None:
    these = budgets()
    for _ in range(3):
        these.reserve(("a", "b"), HERE, 0.0)
    assert these.reserve(("a", "b"), frozenset({"192.0.2.2"}), 1.0) > 0.0


def test_a_source_with_many_pairs_waits_and_others_do_not() -> None:
    these = budgets(ServerSettings(attempts_per_source=10))
    waits = [these.reserve((f"a{number}", "b"), HERE, 0.0) for number in range(60)]
    assert waits[:40] == [0.0] * 40
    assert 0.09 < waits[40] < waits[59] < 2.1
    assert these.reserve(("c", "d"), frozenset({"192.0.2.2"}), 0.0) == 0.0


def test_all_together_have_a_budget_and_nobody_waits_for_ever() -> None:
    these = budgets(ServerSettings(attempts_in_all=1))
    waits = [these.reserve((f"a{number}", "b"), NOWHERE, 0.0) for number in range(100)]
    assert waits[:2] == [0.0, 1.0]
    assert max(waits) == MOST_WAIT


def test_other_budgets_hold_at_once() -> None:
    these = budgets()
    for _ in range(4):
        these.reserve(("a", "b"), HERE, 0.0)
    these.reconfigure(ServerSettings(attempts_burst=1, attempt_every=1.0))
    assert [these.reserve(("a", "b"), HERE, 9.0) for _ in range(3)] == [0.0, 1.0, 2.0]


def test_attempts_that_began_and_that_had_to_wait_are_counted() -> None:
    counters = Counters()
    these = AttemptBudgets(ServerSettings(), counters)
    for _ in range(5):
        these.reserve(("a", "b"), HERE, 0.0)
    assert (counters["attempts-begun"], counters["attempts-deferred"]) == (3, 2)
