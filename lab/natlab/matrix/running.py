"""Runs any cell that can be asked for. Only the sandbox that runs one reads Mininet and scapy, which takes half a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from natlab.matrix.jobs import CellJob, NeighbourJob, ProgramJob

if TYPE_CHECKING:
    from natlab.evidence.result import CellResult

Job = CellJob | NeighbourJob | ProgramJob
IN_THE_SANDBOX = (
    "natlab.matrix.cell",
    "natlab.matrix.neighbour_cell",
    "natlab.matrix.program_cell",
    "natlab.links.delayline",
)
"""The modules that `run` and the processes that it forks read."""


def run(job: Job) -> CellResult:
    """Run it, inside `natlab.sandbox.sandbox.call`. Its `error` tells the lab's own failures."""
    if isinstance(job, CellJob):
        from natlab.matrix.cell import run_cell  # noqa: PLC0415 - it reads Mininet

        return run_cell(job)
    if isinstance(job, NeighbourJob):
        from natlab.matrix.neighbour_cell import run_neighbour_cell  # noqa: PLC0415 - as this does

        return run_neighbour_cell(job)
    from natlab.matrix.program_cell import run_program_cell  # noqa: PLC0415 - so does this

    return run_program_cell(job)
