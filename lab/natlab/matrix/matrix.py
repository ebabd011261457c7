"""Many cells, several at a time, each in a sandbox of its own; then the report."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nat_traversal.wire.methods import MethodName
from natlab.errors import LabError
from natlab.evidence.neighbours import broken_neighbours
from natlab.evidence.program import broken_program
from natlab.evidence.result import Case, CellResult, Report, broken, merge
from natlab.evidence.way import Kind
from natlab.links.apply import means_for
from natlab.links.conditions import DEFAULT_LINKS, PLAIN, LinkConditions
from natlab.matrix.conversation import PRELOADED
from natlab.matrix.jobs import TOPOLOGY, CellJob, NeighbourJob, ProgramJob
from natlab.matrix.running import IN_THE_SANDBOX, run
from natlab.nat.ruleset import Firewall
from natlab.oracle.neighbourhood import Where
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import LADDER
from natlab.oracle.regions import Regions
from natlab.oracle.turn import Turn
from natlab.report.directory import own_directory
from natlab.report.files import write_files
from natlab.report.html import page
from natlab.report.words import short_end
from natlab.sandbox.sandbox import Sandbox, call
from natlab.sandbox.zygote import preload
from natlab.testbed.program_file import ProgramFile

Done = Callable[[CellResult], None]
_PRELOAD_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Which pairs to run, how many at a time, where the report goes (replaced if there is one), and
    how many times to run each pair."""

    pairs: Sequence[tuple[str, str]]
    jobs: int
    directory: Path
    repeat: int = 1
    links: LinkConditions = DEFAULT_LINKS
    firewall: Firewall = Firewall.NFTABLES
    program: ProgramFile | None = None
    """To be run in place of the project's own server and clients."""
    methods: tuple[MethodName, ...] = LADDER
    """The rungs that the project's clients may use."""
    key_log: bool = False
    """The project's clients write key logs, and the ladders show what their frames hold."""
    where: Where | None = None
    """The hosts are neighbours there; None: each is behind a NAT of its own."""
    regions: Regions | None = None
    """Delays between the regions of the hosts and the server; None: one router is between all."""
    turn: Turn | None = None
    """The hosts that have a TURN server; None: there is none."""


def default_jobs() -> int:
    """Six times the processors: a cell that fails, in some seconds, is busy for a third of one."""
    return 6 * (os.cpu_count() or 1)


def run_matrix(plan: Plan, done: Done) -> Report:
    """Run every pair, write the report's files, and return the report.

    `done` is called as each run ends. A cell that breaks is a result with an `error`. Raises
    `SandboxUnavailableError` if this machine cannot run cells at all, `LabError` if `directory`
    cannot be written or is no report of an earlier run.
    """
    page()  # a package that it lacks is told before hours of cells
    started = time.monotonic()
    links = _links(plan.links)
    links += f"; between the regions: {plan.regions.in_words}" if plan.regions else ""
    with own_directory(plan.directory):
        cells = _run_cells(plan, done)
        report = Report(_header(plan, links, time.monotonic() - started), cells)
        write_files(report, plan.directory)
    return report


def _run_cells(plan: Plan, done: Done) -> tuple[CellResult, ...]:
    results: dict[tuple[tuple[str, str], int], CellResult] = {}
    # All pairs once, then all again: what disturbs the machine for a while meets many pairs.
    # Those that will fail first: they take longest, and the others fit in between.
    alone = plan.program is None and plan.where is None
    pairs = sorted(plan.pairs, key=_connects) if alone else plan.pairs
    runs = [(pair, number) for number in range(plan.repeat) for pair in pairs]
    pool = ThreadPoolExecutor(plan.jobs)
    with Sandbox() as warm:
        # The thousand modules that a cell needs are so imported once, not for each cell.
        warm.call(_PRELOAD_TIMEOUT, preload, *IN_THE_SANDBOX, *PRELOADED)
        try:
            futures = {pool.submit(_run_one, *run, plan, warm): run for run in runs}
            waiting: set[Future[CellResult]] = set(futures)
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    results[futures[future]] = future.result()
                    done(future.result())
        except BaseException:
            # The cells end with the sandbox; nothing waits for them.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    pool.shutdown()
    return tuple(
        merge([results[pair, number] for number in range(plan.repeat)]) for pair in plan.pairs
    )


def progress_bar(console: Console, total: int) -> tuple[Progress, Done]:
    """A bar on a terminal, a line a cell elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    progress = Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = progress.add_task("cells", total=total)

    def done(cell: CellResult) -> None:
        progress.advance(task)
        outcome = "broken" if cell.error is not None else short_end(cell)
        where = f" in round {cell.round}" if cell.round else ""
        where = where or (f" by {cell.method}" if cell.path == Kind.DIRECT and cell.method else "")
        verdict = "" if cell.ok else "  NOT AS PREDICTED"
        took = "" if cell.seconds is None else f", {cell.seconds:.1f} s"
        text = f"{cell.nat_a} × {cell.nat_b}: {outcome}{where}{took}{verdict}"
        progress.console.print(text, highlight=False, style=None if cell.ok else "bold red")

    return progress, done


def _run_one(pair: tuple[str, str], number: int, plan: Plan, warm: Sandbox) -> CellResult:
    name = cell_name(*pair) + (f"--{number + 1}" if number else "")
    directory = plan.directory / name
    if plan.program is not None:
        return _run_program(plan.program, pair, directory, plan, warm)
    if plan.where is not None:
        return _run_neighbours(plan.where, pair, directory, plan, warm)
    job = CellJob(
        *pair,
        directory,
        links=plan.links,
        firewall=plan.firewall,
        methods=plan.methods,
        key_log=plan.key_log,
        regions=plan.regions,
        turn=plan.turn,
    )
    try:
        return warm.call_apart(job.timeout, run, job)
    except LabError as error:
        return broken(job.case, str(error))


def _run_program(
    program: ProgramFile, pair: tuple[str, str], directory: Path, plan: Plan, warm: Sandbox
) -> CellResult:
    job = ProgramJob(program, *pair, directory, links=plan.links, firewall=plan.firewall)
    try:
        return warm.call_apart(job.timeout, run, job)
    except LabError as error:
        return broken_program(job.case, str(error))


def _run_neighbours(
    where: Where, pair: tuple[str, str], directory: Path, plan: Plan, warm: Sandbox
) -> CellResult:
    job = NeighbourJob(
        where, *pair, directory, plan.methods, links=plan.links, firewall=plan.firewall
    )
    try:
        return warm.call_apart(job.timeout, run, job)
    except LabError as error:
        return broken_neighbours(job.case, str(error))


def _connects(pair: tuple[str, str]) -> bool:
    return Case.of(*pair, TOPOLOGY).prediction.outcome is Outcome.CONNECTED


def cell_name(nat_a: str, nat_b: str) -> str:
    """The directory of a cell's files in the report."""
    return f"{nat_a}--{nat_b}"


def _links(conditions: LinkConditions) -> str:
    """The links between NATs and the internet, for the report's reader."""
    if conditions == PLAIN:
        return "virtual Ethernet without added delay or loss"
    means = call(30.0, means_for, [conditions])
    return f"NATs to internet by {means}: {conditions}"


def _header(plan: Plan, links: str, seconds: float) -> dict[str, str]:
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "nat_traversal": version("nat-traversal"),
        "mininet": version("mininet"),
        "scapy": version("scapy"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processors": str(os.cpu_count()),
        "jobs": str(plan.jobs),
        "repeat": str(plan.repeat),
        "seconds": f"{seconds:.1f}",
        "links": links,
        **({"topology": str(plan.where or plan.regions)} if plan.where or plan.regions else {}),
        **({"turn": str(plan.turn)} if plan.turn else {}),
        **({"program": plan.program.name} if plan.program else {"methods": ",".join(plan.methods)}),
        "command": os.fsencode(shlex.join(["python", "-m", "lab", *sys.argv[1:]])).decode(
            errors="replace"
        ),
    }
