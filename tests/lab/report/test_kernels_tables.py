"""The replay's tables are those of the kernel: connection tracking, read while a cell runs, says the same."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.matrix.jobs import CellJob
from natlab.report.steps import Line, Step, steps_of
from tests.lab import warm

_NATS = ("nat_a", "nat_b")
_FLOW = re.compile(
    r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (?:\[\S+\] )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
)
Flow = tuple[str, str, str]
"""Who inside, from which external endpoint, with whom."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A NAT's connections, read between two moments."""

    began: float
    ended: float
    nat: str
    flows: frozenset[Flow]


def _run_and_read(job: CellJob) -> tuple[Any, float, list[Reading]]:
    """The cell, when its first packet was sent, and the kernels' tables at each stage of it."""
    import natlab.matrix.cell

    # Its names are looked into, which it does not offer.
    cell: Any = natlab.matrix.cell
    began: list[float] = []
    read: list[Reading] = []
    converse, reconstruct = cell.converse, cell.reconstruct

    def converse_and_read(network: Any, *rest: Any, say: Any, **options: Any) -> Any:
        def tell(text: str) -> None:
            read.extend(_read(nat, network.pid(nat)) for nat in _NATS)
            say(text)

        return converse(network, *rest, say=tell, **options)

    def reconstruct_and_tell(*given: Any) -> Any:
        trace = reconstruct(*given)
        began.append(trace.zero)
        return trace

    # In this process alone, which ends with the call.
    cell.converse, cell.reconstruct = converse_and_read, reconstruct_and_tell
    return cell.run_cell(job), began[0], read


def _read(nat: str, pid: int) -> Reading:
    from natlab.sandbox.netns import in_namespace

    began = time.time()
    with in_namespace(pid):
        words = ("conntrack", "-L", "-p", "udp")
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return Reading(began, time.time(), nat, frozenset(map(_flow, said.splitlines())))


def _flow(line: str) -> Flow:
    found = _FLOW.search(line)
    assert found, line
    source, target, sport, dport, back_source, back_target, back_sport, back_dport = found.groups()
    if source.startswith("10."):
        return f"{source}:{sport}", f"{back_target}:{back_dport}", f"{target}:{dport}"
    inside = "the router itself" if back_source == target else f"{back_source}:{back_sport}"
    return inside, f"{target}:{dport}", f"{source}:{sport}"


def _says_the_same(table: tuple[Line, ...], flows: frozenset[Flow]) -> bool:
    """Each line has its flows, each flow its line, and each line admits whom it has a flow with."""
    lines = {(line.inside, line.outside): line for line in table}
    if lines.keys() != {flow[:2] for flow in flows}:
        return False
    for inside, outside, remote in flows:
        line = lines[inside, outside]
        known = line.towards if line.inside == "the router itself" else line.admits
        if not {"everybody", remote, remote.partition(":")[0]} & set(known.split(", ")):
            return False
    return True


def _around(steps: tuple[Step, ...], start: float, reading: Reading) -> list[tuple[Line, ...]]:
    """The tables of the replay at some moment of a reading."""
    before = [step for step in steps if start + step.t <= reading.began][-1:]
    during = [step for step in steps if reading.began < start + step.t <= reading.ended]
    return [step.tables[reading.nat] for step in (*before, *during)]


@pytest.mark.parametrize(
    ("nat_a", "nat_b"),
    [("port-restricted-cone", "linux-masquerade"), ("symmetric", "restricted-cone")],
)
def test_the_replay_shows_what_the_kernel_remembers(nat_a: str, nat_b: str, tmp_path: Path) -> None:
    job = CellJob(nat_a, nat_b, tmp_path, methods=(MethodName.ORDERED_HELLO,))
    cell, start, readings = warm.call(90, _run_and_read, job)
    assert cell.ok, cell.error
    steps = steps_of(cell)
    compared = [reading for reading in readings if reading.flows]
    assert {reading.nat for reading in compared} == set(_NATS)
    for reading in compared:
        tables = _around(steps, start, reading)
        assert any(_says_the_same(table, reading.flows) for table in tables), (reading, tables)
