"""A cell whose router maps ports by a real miniupnpd: the rung, its round and its packets are the predicted ones."""

from __future__ import annotations

from pathlib import Path

from natlab.matrix.jobs import CellJob
from natlab.matrix.running import run
from tests.lab import warm


def test_a_router_that_maps_ports_opens_the_cell_as_predicted(tmp_path: Path) -> None:
    job = CellJob("APDM+APDF+port-mapping", "port-restricted-cone", tmp_path)
    cell = warm.call(job.timeout, run, job)
    assert cell.error is None
    assert [check for check in cell.checks if not check.ok] == []
    assert (cell.predicted_method, cell.method, cell.path) == (
        "port-mapping",
        "port-mapping",
        "direct",
    )
    assert cell.ok
