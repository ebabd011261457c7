"""Connections that are taken, and those that are not: budgets of one source, and of all."""

from __future__ import annotations

from nat_traversal.machine.counters import Counters
from nat_traversal.server.control_budget import ControlBudget, weight
from nat_traversal.server.gate import CALM_BURST, Gate
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from tests.unit.counterpart import an_offer

EVIL, GOOD = "203.0.113.1", "198.51.100.1"
FREE = ServerSettings(connects_burst=10_000, connects_in_all=10_000)


class Rig:
    """A gate, and those that it has taken."""

    def __init__(self, settings: ServerSettings) -> None:
        self.counters = Counters()
        self.gate = Gate(settings, self.counters)

    def comes(self, source: str, now: float = 0.0, *, registers: bool = False) -> str | None:
        """The code of the refusal, if there is one."""
        refusal = self.gate.refusal(source, now)
        if refusal is not None:
            return refusal.code
        self.gate.came(source)
        if registers and self.gate.may_register(source):
            self.gate.registered(source)
        return None

    def taken(self, source: str, count: int, now: float = 0.0, *, registers: bool = False) -> int:
        return sum(self.comes(source, now, registers=registers) is None for _ in range(count))


def test_a_source_has_so_many_that_have_not_registered_and_the_others_theirs() -> None:
    rig = Rig(FREE)
    assert rig.taken(EVIL, 1000) == FREE.unregistered_per_source
    assert rig.comes(EVIL) == m.ErrorCode.SERVER_FULL
    assert rig.taken(GOOD, 10) == 10
    rig.gate.gone(EVIL, was_registered=False)
    assert rig.comes(EVIL) is None
    assert rig.counters["connects-refused-source"] == 1000 - FREE.unregistered_per_source + 1


def test_a_source_registers_so_many_and_has_a_place_again_when_one_leaves() -> None:
    rig = Rig(FREE)
    assert rig.taken(EVIL, 256, registers=True) == 256
    assert not rig.gate.may_register(EVIL)
    assert rig.gate.may_register(GOOD)
    rig.gate.gone(EVIL, was_registered=True)
    assert rig.gate.may_register(EVIL)


def test_the_last_places_are_for_sources_that_have_none() -> None:
    settings = ServerSettings(
        connections=80, reserved=10, registered_per_source=1000, connects_in_all=1000
    )
    rig = Rig(settings)
    assert rig.taken(EVIL, 100, registers=True) == 70
    assert rig.comes(EVIL) == m.ErrorCode.SERVER_FULL
    for number in range(10):
        assert rig.comes(f"198.51.100.{number}", registers=True) is None
    assert rig.comes(GOOD) == m.ErrorCode.SERVER_FULL, "there is no place at all"
    assert rig.counters["connects-refused-full"] == 32


def test_a_source_connects_so_often_a_second() -> None:
    settings = ServerSettings(connects_burst=20, connects_per_source=5, connects_in_all=1e6)
    rig = Rig(settings)
    assert rig.taken(EVIL, 50) == 20
    assert rig.comes(EVIL) == m.ErrorCode.TOO_FAST
    assert rig.taken(EVIL, 50, now=1.0) == 5
    assert rig.taken(GOOD, 5) == 5


def test_busy_sources_share_what_is_left_and_calm_ones_need_none_of_it() -> None:
    rig = Rig(ServerSettings(connects_in_all=10))
    bots = [f"203.0.113.{number}" for number in range(100)]
    assert sum(rig.taken(bot, 20) for bot in bots) == 100 * CALM_BURST + 10
    assert rig.comes(bots[0]) == m.ErrorCode.TOO_FAST
    assert rig.comes(GOOD) is None
    assert rig.counters["connects-refused-all"] == 100 * (20 - CALM_BURST) - 10 + 1


def test_a_source_that_is_not_known_has_no_budget_of_its_own() -> None:
    rig = Rig(ServerSettings())
    assert rig.taken("", 1000, registers=True) == 1000


def test_other_budgets_hold_for_those_that_come_from_then_on() -> None:
    rig = Rig(FREE)
    rig.taken(EVIL, 60)
    rig.gate.reconfigure(ServerSettings(unregistered_per_source=10))
    assert rig.comes(EVIL) == m.ErrorCode.SERVER_FULL
    for _ in range(51):
        rig.gate.gone(EVIL, was_registered=False)
    assert rig.comes(EVIL) is None


class TestControlBudget:
    def test_a_source_that_says_much_comes_later_until_it_has_been_silent(self) -> None:
        budget = ControlBudget(ServerSettings(control_burst=10, control_per_source=2))
        for _ in range(10):
            assert budget.of(EVIL, 0.0).has(0.0)
            budget.of(EVIL, 0.0).charge(0.0, 1.0)
        assert not budget.of(EVIL, 0.0).has(0.0)
        assert budget.of(GOOD, 0.0).has(0.0)
        assert budget.of(EVIL, 1.0).has(1.0)

    def test_a_registration_weighs_more_than_a_retry_and_that_more_than_an_answer(self) -> None:
        register = m.Register(1, (2,), "a", "b", bytes(32), 1, an_offer())
        assert weight(register) > weight(m.Retry(1, bytes(32))) > weight(m.HelloSent(1))
        assert (
            weight(m.HelloSent(1)) == weight(m.UnknownMessage("x")) > weight(m.HeartbeatAnswer(1))
        )
