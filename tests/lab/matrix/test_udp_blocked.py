"""Where UDP is blocked the client relays by TCP; the model foresees it, and the packets prove it."""

from __future__ import annotations

from pathlib import Path

import pytest

from natlab.evidence.way import Kind
from natlab.matrix.jobs import CellJob
from natlab.matrix.running import run
from tests.lab import warm


@pytest.mark.parametrize(
    ("nat_a", "nat_b", "method"),
    [("udp-blocked", "symmetric", "relay-tcp"), ("home-router", "tcp-only", "relay")],
)
def test_a_pair_without_udp_is_relayed_by_tcp_as_foreseen(
    nat_a: str, nat_b: str, method: str, tmp_path: Path
) -> None:
    job = CellJob(nat_a, nat_b, tmp_path)
    assert job.case.path is Kind.RELAYED
    cell = warm.call(job.timeout, run, job)
    assert cell.error is None
    assert [check for check in cell.checks if not check.ok] == []
    assert (cell.path, cell.through, cell.method, cell.ok) == ("relayed", "server", method, True)
