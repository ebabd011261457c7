"""One cell of any program's matrix: a pair of NATs, the programs of a program file, and the evidence."""

from __future__ import annotations

from pathlib import Path

from nat_traversal.errors import UsageError
from natlab.errors import LabError
from natlab.evidence.fates import Fates
from natlab.evidence.program import broken_program
from natlab.evidence.result import CellResult
from natlab.matrix.course import Course, unwritable
from natlab.matrix.jobs import ProgramJob
from natlab.network.base import made_by
from natlab.network.loading import load
from natlab.report.text_ladder import draw
from natlab.testbed.bed import bed
from natlab.testbed.conduct import Conducted, conduct
from natlab.testbed.environment import scene
from natlab.testbed.files import CAPTURE_FILE, LADDER_FILE
from natlab.testbed.judged import judged, keep_files
from natlab.testbed.program_file import Keep, ProgramFile


def run_program_cell(job: ProgramJob) -> CellResult:
    """Run one cell, inside `natlab.sandbox.sandbox.call`. Its `error` tells failures of the lab, and programs
    that did not start."""
    course = Course(job.directory, verbose=job.verbose)
    try:
        return _run(job, course)
    except (LabError, UsageError) as error:
        return broken_program(job.case, str(error), course.seconds)


def _run(job: ProgramJob, course: Course) -> CellResult:
    course.make_directory()
    file = job.program
    topology = made_by(load(file.network(job.nat_a, job.nat_b)), job.firewall)
    entered = bed(
        topology, job.directory, lambda network: scene(network).points, job.links, places=True
    )
    with entered as stands:
        told = conduct(
            stands,
            file,
            job.directory,
            course.say,
            patience=job.links.patience,
            seed=job.links.seed,
        )
        stands.end()
        keep_files(stands, file, job.directory)
        kept = f"{job.directory.name}/{CAPTURE_FILE}" if _keeps(file, told) else None
        result = judged(stands, job.case, file, told, pcap=kept, seconds=course.seconds)
        if result.pcap is not None:
            packets, shown = stands.capture.packets, scene(stands.network)
            stands.capture.write(job.directory / CAPTURE_FILE, Fates(packets, shown).comments())
            _write(job.directory / LADDER_FILE, draw(packets, shown))
        course.say(result.reason)
        return result


def _keeps(file: ProgramFile, told: Conducted) -> bool:
    return file.capture is Keep.ALWAYS or (file.capture is Keep.FAILED and not told.succeeded)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from None
