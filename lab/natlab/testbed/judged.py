"""From programs that were conducted to a result: what is kept of them, and what their packets prove."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from natlab.evidence.check import LINKS_KEPT, Check
from natlab.evidence.program import FAULTS_HAPPENED, ProgramCase, Word, conclude_program
from natlab.evidence.result import Beside, CellResult
from natlab.testbed.bed import Bed
from natlab.testbed.conduct import Conducted
from natlab.testbed.environment import scene
from natlab.testbed.program_file import ByExchange, ProgramFile


def judged(
    bed: Bed,
    case: ProgramCase,
    file: ProgramFile,
    told: Conducted,
    *,
    pcap: str | None = None,
    seconds: float | None = None,
) -> CellResult:
    """The result of programs that have ended on a bed whose capture has stopped."""
    beside = Beside(
        checks=tuple(_checks(bed, told)),
        probes={
            node: "\n".join([str(seen), *map(str, seen.probes)])
            for node, seen in bed.probes.items()
        },
        rules=bed.rules,
        programs=told.said,
        pcap=pcap,
    )
    packets, shown = bed.capture.packets, scene(bed.network)
    return conclude_program(case, packets, shown, _word(file, told), beside, seconds=seconds)


def _word(file: ProgramFile, told: Conducted) -> Word:
    return Word(
        told.succeeded,
        told.why,
        told.over,
        told.probes,
        file.payload,
        isinstance(file.success, ByExchange),
        max((each.at for each in told.faults.injected), default=None),
        told.quiet,
    )


def _checks(bed: Bed, told: Conducted) -> Iterator[Check]:
    if bed.links is not None:
        untruths = bed.untruths()
        yield Check(LINKS_KEPT, not untruths, "; ".join([str(bed.links), *untruths]))
    faults = told.faults
    if faults.injected or faults.missed or faults.errors:
        troubles = [*faults.errors, *(f"{each}: its moment did not come" for each in faults.missed)]
        happened = ", ".join(str(each.fault) for each in faults.injected)
        yield Check(FAULTS_HAPPENED, not troubles, "; ".join(troubles) or happened)


def keep_files(bed: Bed, file: ProgramFile, directory: Path) -> None:
    """Copy what the program file wants from the nodes, as they see it; what is not there is left out."""
    for node, pattern in file.files:
        root = Path(f"/proc/{bed.network.pid(node)}/root")
        for found in sorted(root.glob(pattern.lstrip("/"))):
            if found.is_file():
                with suppress(OSError):
                    shutil.copyfile(found, directory / f"{node}-{found.name}")
