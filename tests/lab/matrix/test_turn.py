"""Cells with a TURN server: a real coturn carries what no direct path opens, as foreseen, and the packets prove it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.matrix.jobs import CellJob
from natlab.matrix.running import run
from natlab.oracle.predict import BY_TURN
from natlab.oracle.regions import parse_regions
from natlab.oracle.turn import parse_turn
from tests.lab import warm

WITH_RELAY = (MethodName.ORDERED_HELLO, MethodName.RELAY, MethodName.TURN)


@pytest.mark.parametrize(
    ("nats", "turn", "methods", "found"),
    [
        (("APDM+APDF", "EIM+APDF"), "a", BY_TURN, ("relayed", "turn", "turn")),
        (("symmetric", "symmetric"), "b,tcp", BY_TURN, ("relayed", "turn", "turn")),
        (("udp-blocked", "home-router"), "both,tcp", BY_TURN, ("relayed", "turn", "turn")),
        (("udp-blocked", "symmetric"), "a", BY_TURN, ("none", None, None)),
        (("full-cone", "symmetric"), "both", BY_TURN, ("direct", None, "ordered-hello")),
        (("symmetric", "symmetric"), "both", WITH_RELAY, ("relayed", "server", "relay")),
    ],
)
def test_a_pair_is_carried_as_foreseen(
    nats: tuple[str, str],
    turn: str,
    methods: tuple[MethodName, ...],
    found: tuple[str, str | None, str | None],
    tmp_path: Path,
) -> None:
    job = CellJob(*nats, tmp_path, methods=methods, turn=parse_turn(turn))
    cell = warm.call(job.timeout, run, job)
    assert cell.error is None
    assert [check for check in cell.checks if not check.ok] == []
    assert (cell.path, cell.through, cell.method) == found
    assert (cell.predicted_method, cell.ok) == (found[2], True)
    assert (cell.final_path_ms is not None) is (cell.first_datagram_ms is not None)
    assert (cell.final_path_ms is not None) is (found[2] is not None)
    assert b"user=" not in b"".join(each.read_bytes() for each in tmp_path.iterdir())


def test_a_pair_in_regions_is_carried_too(tmp_path: Path) -> None:
    regions = parse_regions("regions,a_b=10ms,a_s=30ms,b_s=50ms")
    turn = parse_turn("a")
    job = CellJob("symmetric", "symmetric", tmp_path, methods=BY_TURN, turn=turn, regions=regions)
    cell = warm.call(job.timeout, run, job)
    assert [check for check in cell.checks if not check.ok] == []
    assert (cell.error, cell.through, cell.method, cell.ok) == (None, "turn", "turn", True)
