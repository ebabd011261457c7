"""A real NAT that gives ports at random: many sockets meet many probes, and the packets show it, and their bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.matrix.jobs import CellJob
from tests.lab import warm

if TYPE_CHECKING:
    from pathlib import Path

    from natlab.evidence.result import CellResult

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.measures_time,  # hundreds of words at a pace, and the checks look at each second of it
]
METHODS = (MethodName.ORDERED_HELLO, MethodName.BIRTHDAY, MethodName.RELAY)


@pytest.mark.parametrize(("nat_a", "nat_b"), [("symmetric", "EIM+APDF")])
def test_a_random_port_is_met(nat_a: str, nat_b: str, tmp_path: Path) -> None:
    cell = _cell(nat_a, nat_b, tmp_path)
    assert cell.ok, cell
    assert (cell.method, cell.path) == ("birthday", "direct")
    assert cell.cause.endswith("as many sockets met many probes.")


def _cell(nat_a: str, nat_b: str, directory: Path) -> CellResult:
    from natlab.matrix.cell import run_cell  # noqa: PLC0415 - it reads Mininet

    job = CellJob(nat_a, nat_b, directory, methods=METHODS)
    return warm.call(job.timeout, run_cell, job)
