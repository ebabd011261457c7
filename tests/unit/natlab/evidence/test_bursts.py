"""Rounds of many sockets after the contract's: their own bounds hold, and the duties of others do not."""

from __future__ import annotations

import pytest

from nat_traversal.wire.datagrams import Hello
from nat_traversal.wire.endpoint import Endpoint
from natlab.evidence.journey import Fate
from natlab.evidence.methods import bursts, ordered_hello, prediction
from tests.unit.natlab.scenes import OUTSIDE, TAGS, Scene, connected, opened

GUESSED = Endpoint(OUTSIDE["host_b"], 1038)
"""Nobody has announced or seen it."""


def burst(number: int = 3, *, sockets: int = 3, to: tuple[Endpoint, ...] = (GUESSED,)) -> Scene:
    """A round in which host_a speaks from many sockets, and host_b from one."""
    scene = opened(1)
    speaks_in(scene, number, sockets, to)
    return scene


def speaks_in(scene: Scene, number: int, sockets: int, to: tuple[Endpoint, ...]) -> None:
    """The sockets are those of `Scene`'s rounds 11, 12 and so on, so that two such rounds have the same."""
    tag = TAGS[1][:-1] + bytes([number])
    for index in range(sockets):
        destination = to[index % len(to)]
        hello = Hello(tag, number, 1, False)
        scene.send("host_a", hello, 11 + index, Fate.DROPPED, destination=destination)
    scene.send("host_b", Hello(tag, number, 2, False), 20 + number, Fate.DROPPED)


def test_a_burst_may_aim_at_a_port_that_nobody_has_seen_and_is_held_to_the_peers_address() -> None:
    trace = burst().trace()
    assert ordered_hello.only_known_addresses_were_used(trace).ok
    aimed, at_one = bursts.bounds(trace)
    assert (aimed.ok, at_one.ok) == (True, True)
    assert "host_a: 3 sockets" in at_one.why
    assert prediction.took_place(trace).ok


@pytest.mark.parametrize("number", [1, 2])
def test_in_the_contracts_rounds_nobody_may_guess(number: int) -> None:
    trace = burst(number).trace()
    assert bursts.bounds(trace) == ()
    assert not ordered_hello.only_known_addresses_were_used(trace).ok
    assert not prediction.took_place(trace).ok


def test_one_socket_may_not_guess_after_them_either() -> None:
    assert not ordered_hello.only_known_addresses_were_used(burst(sockets=1).trace()).ok


def test_another_address_than_the_peers_is_told() -> None:
    aimed, _ = bursts.bounds(burst(to=(Endpoint("192.0.2.77", 1038),)).trace())
    assert not aimed.ok
    assert "192.0.2.77:1038" in aimed.why


def test_two_ports_or_too_many_sockets_are_told() -> None:
    other = Endpoint(GUESSED.address, 1039)
    assert "to 2 ports" in bursts.all_aimed_at_one_port(burst(to=(GUESSED, other)).trace()).why
    crowd = bursts.all_aimed_at_one_port(burst(sockets=bursts.MOST_SOCKETS + 1).trace())
    assert not crowd.ok
    assert "33 sockets" in crowd.why


def test_a_side_that_says_nothing_is_told() -> None:
    scene = burst()
    scene.packets = [each for each in scene.packets if each.source.address != "10.0.2.2"
                     and each.source.address != OUTSIDE["host_b"]]  # fmt: skip
    check = bursts.all_aimed_at_one_port(scene.trace())
    assert not check.ok
    assert "host_b said nothing in round 3" in check.why


def test_a_local_port_that_two_bursts_have_by_chance_is_no_fault() -> None:
    scene = burst(3)
    speaks_in(scene, 4, 3, (GUESSED,))
    assert ordered_hello.sockets_were_fresh(scene.trace()).ok


def test_without_a_burst_there_is_nothing_to_bound() -> None:
    assert bursts.bounds(connected().trace()) == ()
