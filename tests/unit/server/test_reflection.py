"""Answers over UDP to sources that are yet to be shown: how many a victim gets whose address a registered host forges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.crypto.proof import signed
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.server.reflection import AT_ONCE, Reflection
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.datagrams import Echo, handle_of
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_announce
from tests.unit.server.rig import KEY, A, Rig

VICTIM = "198.51.100.99"
RATE = ServerSettings().unproven_per_source


def test_announces_from_forged_ports_of_one_address_draw_its_budget_of_answers() -> None:
    """A thousand a second for ten seconds, each from another port."""
    rig = Rig()
    rig.register(A)
    for number in range(1, 10_001):
        source = Endpoint(VICTIM, 1024 + number)
        rig.feed(e.DatagramArrived(an_announce(KEY[A], number), source))
        rig.wait(0.001)
    drawn = [to for _, to in rig.answers if to.address == VICTIM]
    assert len(drawn) <= (10 + AT_ONCE) * RATE
    assert rig.machine.counters["answers-withheld"] == 10_000 - len(drawn)


def budgets(rate: float = 4.0) -> Reflection:
    return Reflection(ServerSettings(unproven_per_source=rate), Counters())


def drawn(reflection: Reflection, sources: list[Endpoint], home: str, now: float = 0.0) -> int:
    """Answers to those sources."""
    return sum(reflection.may_go(source, home, now) for source in sources)


PORTS = [Endpoint(VICTIM, port) for port in range(1, 101)]
HOME = [Endpoint(f"2001:db8:0:7::{number:x}", 53) for number in range(1, 101)]


@pytest.mark.parametrize("sources", [PORTS, HOME], ids=["ports", "addresses of one home"])
def test_one_budget_is_for_all_ports_of_an_address_and_all_addresses_of_a_home(
    sources: list[Endpoint],
) -> None:
    reflection = budgets()
    assert drawn(reflection, sources, "203.0.113.2") == 16
    assert drawn(reflection, sources, "203.0.113.2", now=2.0) == 8


def test_whoever_forges_an_address_costs_the_hosts_there_nothing() -> None:
    reflection = budgets()
    drawn(reflection, PORTS, "203.0.113.2")
    assert drawn(reflection, PORTS, VICTIM) == 16


def test_as_many_hosts_behind_one_address_as_may_begin_attempts_are_answered() -> None:
    """Each attempt of theirs has two sockets, and two announces of each before the echo is back."""
    settings = ServerSettings()
    reflection, attempts = Reflection(settings, Counters()), settings.attempts_per_source
    assert drawn(reflection, 4 * PORTS[: int(4 * attempts)], VICTIM) == 16 * attempts
    for second in range(1, 11):
        assert drawn(reflection, 4 * PORTS[: int(attempts)], VICTIM, float(second)) == 4 * attempts


def test_a_host_that_has_shown_where_it_receives_is_answered_whatever_others_draw_there() -> None:
    rig = Rig(replace(ServerSettings(), unproven_per_source=1.0))
    rig.register(A)
    rig.announce(A)
    ((answer, where),) = rig.answers
    echo = signed(Echo(handle_of(KEY[A]), answer.number, answer.nonce), KEY[A])
    rig.feed(e.DatagramArrived(echo, where))
    for _ in range(20):
        rig.announce(A)
    assert len(rig.answers) == 21
