"""Turns of pairs that guess ports: one at a time at an address."""

from __future__ import annotations

from nat_traversal.server.grants import EVERY, HELD, MOST, Grants

PAIR, OTHER, THIRD = ("a", "b"), ("c", "d"), ("e", "f")
HERE, THERE, ELSEWHERE = "203.0.113.1", "198.51.100.1", "192.0.2.9"


def test_the_first_is_granted_at_once_and_the_next_at_either_address_after_the_pause() -> None:
    grants = Grants()
    assert grants.ask(PAIR, (HERE, THERE), 0.0) == 0.0
    assert grants.ask(OTHER, (HERE, ELSEWHERE), 1.0) == EVERY - 1.0
    assert grants.ask(OTHER, (HERE, ELSEWHERE), EVERY - 0.5) == 0.5
    assert grants.ask(OTHER, (HERE, ELSEWHERE), EVERY) == 0.0


def test_addresses_that_share_nothing_do_not_wait_for_each_other() -> None:
    grants = Grants()
    assert grants.ask(PAIR, (HERE,), 0.0) == 0.0
    assert grants.ask(OTHER, (THERE,), 0.0) == 0.0


def test_who_waits_keeps_its_turn_and_later_ones_come_after_it() -> None:
    grants = Grants()
    grants.ask(PAIR, (HERE,), 0.0)
    assert grants.ask(OTHER, (HERE,), 1.0) == EVERY - 1.0
    assert grants.ask(THIRD, (HERE,), 2.0) == 2 * EVERY - 2.0
    assert grants.ask(OTHER, (HERE,), EVERY + 5.0) == 0.0
    assert grants.ask(THIRD, (HERE,), 2 * EVERY) == 5.0, "the one before it came late"


def test_a_turn_that_nobody_takes_is_lost_and_holds_nobody_up() -> None:
    grants = Grants()
    grants.ask(PAIR, (HERE,), 0.0)
    grants.ask(OTHER, (HERE,), 0.0)
    assert grants.ask(THIRD, (HERE,), 2 * EVERY) == 0.0
    late = EVERY + HELD + 1.0
    assert grants.ask(OTHER, (HERE,), late) > 0


def test_a_pair_that_comes_from_another_address_has_no_turn_there() -> None:
    grants = Grants()
    grants.ask(PAIR, (HERE,), 0.0)
    grants.ask(OTHER, (HERE,), 0.0)
    grants.ask(THIRD, (THERE,), 0.0)
    assert grants.ask(OTHER, (THERE,), EVERY - 1.0) == 1.0


def test_addresses_without_end_take_no_more_room_than_there_is() -> None:
    grants = Grants()
    for number in range(2 * MOST):
        grants.ask((str(number), "x"), (str(number),), 0.0)
        grants.ask((str(number), "y"), (str(number),), 0.0)
    assert len(grants._free) == len(grants._granted) == len(grants._turns) == MOST
