"""One cell of any program's matrix: a pair of NATs, the programs of a program file, and the evidence."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nat_traversal.errors import UsageError
from natlab.errors import LabError
from natlab.evidence.check import LINKS_KEPT, Check
from natlab.evidence.fates import Fates
from natlab.evidence.program import (
    FAULTS_HAPPENED,
    ProgramCase,
    Word,
    broken_program,
    conclude_program,
)
from natlab.evidence.result import Beside, CellResult
from natlab.links.conditions import DEFAULT_LINKS, LinkConditions
from natlab.nat.ruleset import Firewall
from natlab.network.base import made_by
from natlab.network.loading import load
from natlab.report.text_ladder import draw
from natlab.testbed.bed import Bed, bed
from natlab.testbed.conduct import Conducted, conduct
from natlab.testbed.environment import scene
from natlab.testbed.files import CAPTURE_FILE, LADDER_FILE
from natlab.testbed.program_file import ByExchange, Keep, ProgramFile

CELL_TIMEOUT = 90.0
"""Seconds for the lab's own part of a cell."""


@dataclass(frozen=True, slots=True)
class ProgramJob:
    """A cell to run, and the place of its files, which the cell makes."""

    program: ProgramFile
    nat_a: str
    nat_b: str
    directory: Path
    verbose: bool = False
    links: LinkConditions = DEFAULT_LINKS
    firewall: Firewall = Firewall.NFTABLES

    @property
    def timeout(self) -> float:
        """Seconds that `run_program_cell` may take."""
        file = self.program
        ready = sum(each.ready_within for each in file.starts)
        times = ready + 3 * (file.within + self.links.patience) + file.settle
        return CELL_TIMEOUT + times

    @property
    def case(self) -> ProgramCase:
        """The pair that is run."""
        file = self.program
        name = file.topology.partition(",")[0]
        return ProgramCase(
            file.name, self.nat_a, self.nat_b, name, file.between, file.is_a_pair, file.expect
        )


def run_program_cell(job: ProgramJob) -> CellResult:
    """Run one cell, inside `natlab.sandbox.sandbox.call`. Its `error` tells failures of the lab, and programs
    that did not start."""
    started = time.monotonic()
    try:
        return _run(job, started)
    except (LabError, UsageError) as error:
        return broken_program(job.case, str(error), _since(started))


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _run(job: ProgramJob, started: float) -> CellResult:
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot write to {job.directory}: {error.strerror}") from None

    def say(text: str) -> None:
        if job.verbose:
            print(f"{time.monotonic() - started:7.3f} s  {text}", file=sys.stderr, flush=True)

    file = job.program
    topology = made_by(load(file.network(job.nat_a, job.nat_b)), job.firewall)
    entered = bed(
        topology, job.directory, lambda network: scene(network).points, job.links, places=True
    )
    with entered as stands:
        shown = scene(stands.network)
        told = conduct(
            stands, file, job.directory, say, patience=job.links.patience, seed=job.links.seed
        )
        _keep_files(stands, file, job.directory)
        stands.end()
        packets = stands.capture.packets
        fates = Fates(packets, shown)
        capture = job.directory / CAPTURE_FILE
        result = conclude_program(
            job.case,
            packets,
            shown,
            _word(file, told),
            Beside(
                checks=tuple(_checks(stands, told)),
                probes={
                    node: "\n".join([str(seen), *map(str, seen.probes)])
                    for node, seen in stands.probes.items()
                },
                rules=stands.rules,
                programs=told.said,
                pcap=f"{job.directory.name}/{CAPTURE_FILE}" if _keeps(file, told) else None,
            ),
            seconds=_since(started),
        )
        if result.pcap is not None:
            stands.capture.write(capture, fates.comments())
            _write(job.directory / LADDER_FILE, draw(packets, shown))
        say(result.reason)
        return result


def _word(file: ProgramFile, told: Conducted) -> Word:
    return Word(
        told.succeeded,
        told.why,
        told.over,
        told.probes,
        file.payload,
        isinstance(file.success, ByExchange),
        max((each.at for each in told.faults.injected), default=None),
    )


def _keeps(file: ProgramFile, told: Conducted) -> bool:
    return file.capture is Keep.ALWAYS or (file.capture is Keep.FAILED and not told.succeeded)


def _checks(stands: Bed, told: Conducted) -> Iterator[Check]:
    if stands.links is not None:
        untruths = stands.untruths()
        yield Check(LINKS_KEPT, not untruths, "; ".join([str(stands.links), *untruths]))
    faults = told.faults
    if faults.injected or faults.missed or faults.errors:
        troubles = [*faults.errors, *(f"{each}: its moment did not come" for each in faults.missed)]
        happened = ", ".join(str(each.fault) for each in faults.injected)
        yield Check(FAULTS_HAPPENED, not troubles, "; ".join(troubles) or happened)


def _keep_files(stands: Bed, file: ProgramFile, directory: Path) -> None:
    """Copy what the program file wants from the nodes, as they see it; what is not there is left out."""
    for node, pattern in file.files:
        root = Path(f"/proc/{stands.network.pid(node)}/root")
        for found in sorted(root.glob(pattern.lstrip("/"))):
            if found.is_file():
                with suppress(OSError):
                    shutil.copyfile(found, directory / f"{node}-{found.name}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}") from None
