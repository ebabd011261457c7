"""Real order-sensitive NATs with a router between them: openers end there, and the packets show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.matrix.jobs import CellJob
from tests.lab import warm

if TYPE_CHECKING:
    from pathlib import Path

    from natlab.evidence.result import CellResult

pytestmark = pytest.mark.timeout(120)
ORDER_SENSITIVE = "linux-masquerade"


@pytest.mark.parametrize("further", [0, 11])
def test_two_order_sensitive_nats_open_by_openers_that_end_between_them(
    further: int, tmp_path: Path
) -> None:
    cell = _cell(ORDER_SENSITIVE, ORDER_SENSITIVE, tmp_path, routers=further)
    assert cell.ok, cell
    assert (cell.method, cell.path) == ("low-ttl", "direct")
    assert cell.cause.endswith("as openers ended between the NATs.")
    ended = [each for each in cell.packets if each.kind == "OPENER" and each.fate == "expired"]
    assert {each.sender for each in ended} == {"host_a", "host_b"}


def test_openers_that_a_nat_lets_in_end_there_or_at_its_host_and_fare_as_modelled(
    tmp_path: Path,
) -> None:
    cell = _cell("EIM+APDF", "APDM+EIF", tmp_path, routers=0)
    assert cell.ok, cell
    fates = {each.fate for each in cell.packets if each.kind == "OPENER"}
    assert fates >= {"expired", "delivered"}


def _cell(nat_a: str, nat_b: str, directory: Path, *, routers: int) -> CellResult:
    from natlab.matrix.cell import run_cell  # noqa: PLC0415 - it reads Mininet

    methods = (MethodName.ORDERED_HELLO, MethodName.LOW_TTL)
    job = CellJob(nat_a, nat_b, directory, methods=methods, routers=routers)
    return warm.call(job.timeout, run_cell, job)
