"""How a NAT gives ports is told from a volley of sockets, and so is the port that comes next."""

from __future__ import annotations

import random

import pytest

from nat_traversal.server.allocation import BLOCK, Block, Sequential, Sightings

VOLLEY = 2


def seen(*ports: int, at: float = 4.0, before: tuple[float, int] | None = None) -> Sightings:
    """A volley at `at`, a millisecond between its sockets; perhaps one socket earlier, at a moment and a port."""
    sightings = Sightings()
    if before is not None:
        sightings.add(before[0], VOLLEY - 1, before[1])
    for index, port in enumerate(ports):
        sightings.add(at + index / 1000, VOLLEY, port)
    return sightings


@pytest.mark.parametrize(
    "ports",
    [(5000, 5001, 5002), (5000, 5001, 5030, 5031), (5003, 5001, 5000), (65_534, 65_535, 1024)],
)
def test_ports_that_go_up_are_a_sequence_in_whatever_order_they_come(
    ports: tuple[int, ...],
) -> None:
    rule = seen(*ports).allocation(VOLLEY)
    assert isinstance(rule, Sequential)
    assert rule.last == (1024 if 1024 in ports else max(ports))


def test_others_connections_are_counted_since_an_earlier_socket() -> None:
    """80 ports in 4 s: 20 a second. So 2 more are gone 0.1 s later."""
    sightings = seen(5000, 5001, 5002, at=4.0, before=(0.0, 4920))
    rule = sightings.allocation(VOLLEY)
    assert isinstance(rule, Sequential)
    assert rule.rate == pytest.approx(20.0)
    assert rule.expected(rule.at + 0.1) == pytest.approx(2.0)
    assert rule.ahead(rule.expected(rule.at + 0.1) + 8) == 5012


def test_an_earlier_socket_counts_around_the_highest_port_and_not_from_long_ago() -> None:
    around = seen(1024, 1025, 1026, at=4.0, before=(2.0, 65_526)).allocation(VOLLEY)
    assert isinstance(around, Sequential)
    assert around.rate == pytest.approx(5.0)
    late = seen(5000, 5001, 5002, at=100.0, before=(0.0, 4920)).allocation(VOLLEY)
    assert isinstance(late, Sequential)
    assert late.rate == 0.0


def test_the_port_after_the_highest_is_the_lowest() -> None:
    assert Sequential(65_535, 0.0, 0.0).ahead(1) == 1024


def test_ports_of_one_block_are_a_block_and_drawn_from_it() -> None:
    rule = seen(3 * BLOCK + 900, 3 * BLOCK + 4, 3 * BLOCK + 511).allocation(VOLLEY)
    assert rule == Block(3 * BLOCK)
    drawn = rule.draw(32, random.Random(1))
    assert len(set(drawn)) == 32
    assert {port // BLOCK for port in drawn} == {3}


@pytest.mark.parametrize(
    "ports", [(5000, 5001), (5000, 9000, 23_456), (4 * BLOCK - 1, 4 * BLOCK - 200, 4 * BLOCK)]
)
def test_chance_and_too_few_ports_are_no_rule(ports: tuple[int, ...]) -> None:
    assert seen(*ports).allocation(VOLLEY) is None


def test_one_socket_seen_again_is_no_second_port() -> None:
    assert seen(5000, 5000, 5001).count(VOLLEY) == 2
