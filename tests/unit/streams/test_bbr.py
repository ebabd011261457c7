"""Congestion control: what it takes of a link, and what it leaves, on a virtual clock. Rates are octets a second."""

from __future__ import annotations

from functools import cache

import pytest

from nat_traversal.streams.bbr import NAME, Bbr
from tests.sim.clock import Clock
from tests.unit.streams.bottleneck import Flow, Link

RATE = 1_250_000.0
WAY = 0.02
HELD = RATE * 2 * WAY
"""Octets that the link holds without a queue."""


def use(link: Link, flows: list[Flow], since: float, until: float) -> list[float]:
    """The part of the link that each flow had in that time."""
    link.clock.run_to(since)
    before = [flow.arrived for flow in flows]
    link.carried = link.dropped = 0
    link.waited = 0.0
    link.clock.run_to(until)
    whole = link.rate * (until - since)
    return [(flow.arrived - arrived) / whole for flow, arrived in zip(flows, before, strict=True)]


@cache
def alone(
    control: str, *, room: float, loss: float = 0.0, rate: float = RATE
) -> tuple[float, Link]:
    """The part of a link that one flow has, between two and eight seconds after its start."""
    link = Link(Clock(), rate, room, WAY, loss)
    return use(link, [Flow(link, control)], 2.0, 8.0)[0], link


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_loss_at_random_costs_what_was_lost_and_little_more(loss: float) -> None:
    part, _ = alone(NAME, room=HELD, loss=loss)
    assert part > 0.85 * (1 - loss)


def test_cubic_collapses_where_it_does_not() -> None:
    part, _ = alone("cubic", room=HELD, loss=0.05)
    assert part < 0.3


@pytest.mark.parametrize("room", [0.1, 0.25, 1.0, 4.0])
def test_alone_it_is_never_worse_than_cubic_by_more_than_its_looks_for_the_least(
    room: float,
) -> None:
    part, _ = alone(NAME, room=room * HELD)
    cubic, _ = alone("cubic", room=room * HELD)
    assert part > cubic - 0.04


def test_it_leaves_no_queue_standing() -> None:
    part, link = alone(NAME, room=4 * HELD)
    _, of_cubic = alone("cubic", room=4 * HELD)
    assert part > 0.9
    assert link.mean_wait < 0.6 * 2 * WAY
    assert link.mean_wait < 0.4 * of_cubic.mean_wait


def test_a_link_that_overflows_is_hardly_ever_overfilled() -> None:
    _, link = alone(NAME, room=0.1 * HELD)
    assert link.dropped < 0.02 * link.carried


@pytest.mark.parametrize("room", [0.25, 1.0, 4.0])
def test_a_late_flow_gets_its_part(room: float) -> None:
    link = Link(Clock(), RATE, room * HELD, WAY)
    flows = [Flow(link, NAME), Flow(link, NAME, start=2.0)]
    parts = use(link, flows, 12.0, 18.0)
    assert min(parts) > 0.25, parts
    assert sum(parts) > 0.85, parts


@pytest.mark.parametrize("room", [0.25, 1.0, 4.0])
def test_beside_cubic_neither_starves(room: float) -> None:
    link = Link(Clock(), RATE, room * HELD, WAY)
    parts = use(link, [Flow(link, NAME), Flow(link, "cubic")], 4.0, 13.0)
    assert min(parts) > 0.08, parts
    assert sum(parts) > 0.85, parts


def test_a_link_that_becomes_slower_is_followed_at_once() -> None:
    link = Link(Clock(), RATE, HELD, WAY)
    flow = Flow(link, NAME)
    link.clock.run_to(3.0)
    link.rate = RATE / 5
    part = use(link, [flow], 5.0, 9.0)[0]
    assert part > 0.8
    assert link.dropped < 0.1 * link.carried


def test_a_link_that_becomes_faster_is_found() -> None:
    link = Link(Clock(), RATE / 5, HELD, WAY)
    flow = Flow(link, NAME)
    link.clock.run_to(3.0)
    link.rate = RATE
    assert use(link, [flow], 6.0, 8.0)[0] > 0.8


def test_after_a_move_to_a_longer_way_it_begins_anew() -> None:
    link = Link(Clock(), RATE, HELD, WAY / 20)
    flow = Flow(link, NAME)
    link.clock.run_to(2.0)
    link.way = WAY
    assert isinstance(flow.control, Bbr)
    flow.control.restart()
    assert use(link, [flow], 3.0, 6.0)[0] > 0.8


def test_a_link_that_is_gone_for_a_while_is_used_again() -> None:
    link = Link(Clock(), RATE, HELD, WAY)
    flow = Flow(link, NAME)
    link.clock.run_to(2.0)
    link.loss = 1.0
    link.clock.run_to(6.0)
    link.loss = 0.0
    assert use(link, [flow], 9.0, 12.0)[0] > 0.8
