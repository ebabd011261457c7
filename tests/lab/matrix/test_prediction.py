"""Real NATs that give ports in sequence: the client opens the pair at the port that comes next, and the packets show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from natlab.matrix.jobs import CellJob
from tests.lab import warm

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)
SEQUENTIAL = "APDM+APDF+sequential"


@pytest.mark.parametrize(
    ("nat_a", "nat_b"),
    [
        ("EIM+APDF", SEQUENTIAL),
        (f"{SEQUENTIAL}+background-100", f"{SEQUENTIAL}+background-20"),
    ],
)
def test_a_pair_opens_at_the_port_that_comes_next_while_others_take_ports(
    nat_a: str, nat_b: str, tmp_path: Path
) -> None:
    from natlab.matrix.cell import run_cell  # noqa: PLC0415 - it reads Mininet

    job = CellJob(nat_a, nat_b, tmp_path)
    cell = warm.call(job.timeout, run_cell, job)
    assert cell.ok, cell
    assert (cell.method, cell.path) == ("prediction", "direct")
    assert cell.cause.endswith("as both aimed at the next port.")
