"""Cells of neighbours: real clients behind one NAT, one carrier's NAT, with IPv6, and behind a NAT64 take the rung that
the model names, and the captures show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.evidence.result import CellResult
from natlab.matrix.jobs import NeighbourJob
from natlab.matrix.running import run
from natlab.oracle.neighbourhood import Where, parse_where
from tests.lab import warm

CONE, SYMMETRIC = "EIM+APDF", "symmetric"
HAIRPIN = "EIM+EIF+hairpin-external-source"
CELLS = {
    ("shared_nat", SYMMETRIC, SYMMETRIC): MethodName.HOST,
    ("shared_nat", HAIRPIN, HAIRPIN): MethodName.ORDERED_HELLO,
    (f"shared_cgn,cgn={HAIRPIN}", CONE, CONE): MethodName.ORDERED_HELLO,
    (f"shared_cgn,cgn={SYMMETRIC}", "none", "none"): MethodName.HOST,
    (f"shared_cgn,cgn={CONE}", CONE, CONE): MethodName.RELAY,
    ("dual_stack", "full-cone", SYMMETRIC): MethodName.ORDERED_HELLO,
    ("dual_stack", SYMMETRIC, SYMMETRIC): MethodName.IPV6,
    ("dual_stack", "port-restricted-cone", "linux-masquerade"): MethodName.IPV6,
    ("dual_stack", "ADM+EIF", "APDM+APDF"): MethodName.IPV6,
    ("dual_stack", "APDM+EIF", "APDM+EIF"): MethodName.IPV6,
    ("dual_stack", "APDM+APDF+nptv6", "APDM+APDF+ipv6-eif"): MethodName.RELAY,
    ("ipv6_only", "EIM+APDF+nat66", "EIM+APDF+ipv6-adf"): MethodName.ORDERED_HELLO,
    ("ipv6_only", "EIM+APDF+nat66-apdm", "EIM+APDF+nptv6"): MethodName.RELAY,
    ("nat64", "full-cone", SYMMETRIC): MethodName.ORDERED_HELLO,
    ("nat64", CONE, CONE): MethodName.ORDERED_HELLO,
    ("nat64", SYMMETRIC, "none"): MethodName.ORDERED_HELLO,
    ("nat64", SYMMETRIC, CONE): MethodName.RELAY,
}
"""Where, both NATs, and the rung."""


def _job(text: str, nats: tuple[str, str], directory: Path) -> NeighbourJob:
    where = parse_where(text)
    assert isinstance(where, Where)
    return NeighbourJob(where, *nats, directory, where.neighbourhood.methods)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_pair_takes_the_rung_that_the_model_names(
    cell: tuple[str, str, str], tmp_path: Path
) -> None:
    where, *nats = cell
    result = _run(_job(where, (nats[0], nats[1]), tmp_path))
    assert result.error is None
    assert [check for check in result.checks if not check.ok] == []
    assert (result.predicted_method, result.method, result.ok) == (CELLS[cell], CELLS[cell], True)
    assert (result.through == "server") is (CELLS[cell] is MethodName.RELAY)
    assert result.first_datagram_ms is not None
    assert result.final_path_ms is not None
    assert (tmp_path / "capture.pcapng").stat().st_size > 1000


def test_a_pair_without_its_rung_is_relayed_and_the_cell_says_so(tmp_path: Path) -> None:
    job = _job("shared_nat", (SYMMETRIC, SYMMETRIC), tmp_path)
    without = (MethodName.ORDERED_HELLO, MethodName.RELAY)
    result = _run(replace(job, methods=without))
    assert (result.predicted_method, result.method, result.ok) == ("relay", "relay", True)
    assert result.cause == "nat_a sends nothing from inside back in."


def _run(job: NeighbourJob) -> CellResult:
    return warm.call(job.timeout, run, job)
