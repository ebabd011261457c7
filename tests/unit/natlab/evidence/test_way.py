"""The way of the lab's own datagrams, known again by size and moment, whatever a program makes of them."""

from __future__ import annotations

import pytest

from natlab.evidence.entries import entries_made
from natlab.evidence.hops import TWO_NATS_SCENE
from natlab.evidence.way import Kind, PathFound, Probe, path_of_probes
from tests.unit.natlab.evidence.test_fates import A_OUTSIDE, B_OUTSIDE, SERVER, Wire

SEALED = 48


def _probe(size: int, sent: float, wire: Wire) -> Probe:
    return Probe(size, sent, wire.now + 0.001, wire.now + 0.002)


def _direct(wire: Wire, size: int) -> Probe:
    sent, data = wire.now, bytes([size % 251]) * (size + SEALED)
    wire.out("a", B_OUTSIDE, data)
    wire.into("b", A_OUTSIDE, data)
    return _probe(size, sent, wire)


def _relayed(wire: Wire, size: int) -> Probe:
    """The relay seals anew: nothing but the size is alike."""
    sent = wire.now
    wire.out("a", SERVER, b"x" * (size + SEALED))
    wire.at_server(False, A_OUTSIDE, b"x" * (size + SEALED))
    wire.at_server(True, B_OUTSIDE, b"y" * (size + SEALED + 4))
    wire.into("b", SERVER, b"y" * (size + SEALED + 4))
    return _probe(size, sent, wire)


def _found(wire: Wire, *probes: Probe) -> PathFound:
    return path_of_probes(wire.fates, probes, "host_a", "host_b")


def test_the_last_probes_tell_the_path_and_since_when() -> None:
    wire = Wire()
    relayed = [_relayed(wire, size) for size in (300, 700, 500)]
    found = _found(wire, *relayed)
    assert str(found) == "relayed through server"
    assert (found.first, found.since) == (relayed[0].reached, relayed[0].reached)
    direct = [_direct(wire, size) for size in (310, 720, 530, 999, 200, 640)]
    found = _found(wire, *relayed, *direct)
    assert (found.kind, found.first, found.since) == (
        Kind.DIRECT,
        relayed[0].reached,
        direct[0].reached,
    )
    assert found.endpoints == (str(A_OUTSIDE), str(B_OUTSIDE))


@pytest.mark.parametrize("less", [SEALED + 1, -200])
def test_packets_of_other_sizes_carry_nothing(less: int) -> None:
    wire = Wire()
    probes = [_direct(wire, size) for size in (300, 700)]
    longer = [Probe(each.size + less, each.sent, each.reached, each.answered) for each in probes]
    assert _found(wire, *longer).kind is Kind.NONE


def test_what_was_not_answered_is_no_path() -> None:
    wire = Wire()
    probe = _direct(wire, 300)
    assert _found(wire, Probe(300, probe.sent, probe.reached)).kind is Kind.NONE
    assert _found(wire, Probe(300, probe.sent)) == PathFound(Kind.NONE)


def test_packets_before_or_after_a_probe_are_not_its_carriers() -> None:
    wire = Wire()
    _direct(wire, 300)
    later = Probe(300, wire.now + 1, wire.now + 2, wire.now + 3)
    assert _found(wire, later).kind is Kind.NONE


def test_a_nat_makes_one_entry_for_each_remote_endpoint_and_none_for_what_it_drops() -> None:
    wire = Wire()
    wire.out("a", SERVER, b"who am I")
    wire.out("a", B_OUTSIDE, b"hole")
    wire.out("a", B_OUTSIDE, b"hole again")
    wire.to_nat("b", A_OUTSIDE, b"hole")
    assert entries_made(wire.fates, TWO_NATS_SCENE) == {"nat_a": 2, "nat_b": 0}
    wire.out("a", B_OUTSIDE, b"let in")
    wire.into("b", A_OUTSIDE, b"let in")
    assert entries_made(wire.fates, TWO_NATS_SCENE) == {"nat_a": 2, "nat_b": 1}
