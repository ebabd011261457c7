"""`python -m lab topology`: any topology, by name or by path; what is in it, and programs on its nodes."""

# ruff: noqa: PLC0415 - only the sandbox's process imports Mininet

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import sandbox
from lab.errors import LabError, ProgramError
from lab.faults import Scheduled, parse_fault
from nat_traversal.errors import UsageError

if TYPE_CHECKING:
    from lab.network import Network
    from lab.programs import Line, Program, Programs

_BUILD_TIMEOUT = 60.0
_A_DAY = 86_400.0
_SLICE = 0.5
_TIMED_OUT = 124
"""As timeout(1) has it."""


@dataclass(frozen=True, slots=True)
class Anywhere:
    """What to build, and which commands to run on which nodes, in this order; `timeout` in seconds."""

    topology: str
    commands: Sequence[tuple[str, tuple[str, ...]]]
    faults: Sequence[Scheduled]
    timeout: float
    directory: Path
    prompt: bool


def add_topology(commands: Any) -> None:
    """The command `lab topology`."""
    parser = commands.add_parser("topology", help="any topology, also your own, and programs in it")
    parser.add_argument(
        "topology", metavar="TOPOLOGY", help="star,peers=4 or PATH.py:NAME,parameter=value"
    )
    parser.add_argument(
        "--on",
        metavar="NODE=CMD",
        action="append",
        default=[],
        type=_checked(_command),
        help="run this there (repeat it). The end is that of all commands but those on servers; the"
        " exit status is the first that is not 0, or 124 after --timeout. Programs are called as their"
        " nodes, a second one NODE-2",
    )
    parser.add_argument(
        "--fault", metavar="FAULT", action="append", default=[], type=_checked(parse_fault)
    )
    parser.add_argument("--timeout", metavar="S", default=60.0, type=_checked(_seconds))
    parser.add_argument("--prompt", action="store_true", help="end with Mininet's prompt")
    parser.add_argument("--report", metavar="DIR", type=Path, default=Path("lab-report/topology"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.fault and not options.on:
        raise UsageError("--fault is for commands: add --on NODE=CMD")
    job = Anywhere(
        options.topology,
        options.on,
        options.fault,
        options.timeout,
        options.report,
        options.prompt,
    )
    timeout = _A_DAY if job.prompt else _BUILD_TIMEOUT + job.timeout
    return sandbox.call(timeout, _stand, job)


def _stand(job: Anywhere) -> int:
    """Runs in a sandbox."""
    from lab.network import standing
    from lab.programs import Programs
    from topologies.loading import load

    try:
        job.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot write to {job.directory}: {error.strerror}") from None
    with standing(load(job.topology)) as network, Programs(job.directory) as programs:
        for node, _ in job.commands:
            network.node(node)
        if not job.commands:
            print(*_described(network), sep="\n")
        status = _converse(job, network, programs) if job.commands else 0
        if job.prompt:
            network.prompt()
        return status


def _described(network: Network) -> list[str]:
    lines = []
    for name in network.names:
        node = network.node(name)
        addresses = (
            f"{interface} {' '.join(map(str, group))}"
            for interface, group in network.addresses(name).items()
            if group
        )
        kind = f"{node.role} {node.nat.preset.name}" if node.nat else str(node.role)
        lines.append(f"{name}: {kind}; {', '.join(addresses)}")
    return lines


def _converse(job: Anywhere, network: Network, programs: Programs) -> int:
    from lab.addressing import Role
    from lab.injection import Faults
    from lab.schedule import Schedule

    deadline = time.monotonic() + job.timeout
    times: Counter[str] = Counter()
    awaited: list[Program] = []
    faults = Faults(network, programs)
    for each in job.faults:
        faults.check(each.fault)
    for node, words in job.commands:
        times[node] += 1
        name = node if times[node] == 1 else f"{node}-{times[node]}"
        program = programs.start(name, words, network.pid(node), tell=_teller(name))
        if network.node(node).role is not Role.SERVER:
            awaited.append(program)
    statuses = []
    with Schedule(faults, job.faults) as schedule:
        for program in awaited or [programs[job.commands[0][0]]]:
            status = _end(lambda: faults.program(program.name), deadline)  # noqa: B023
            if status is None:
                print(f"error: {program.name} still ran after {job.timeout:g} s", file=sys.stderr)
                return _TIMED_OUT
            statuses.append(status)
    for done in schedule.injected:
        print(f"lab | {done.fault}", file=sys.stderr)
    if schedule.missed:
        missed = ", ".join(map(str, schedule.missed))
        raise LabError(f"the run ended before these faults: {missed}")
    worst = next(filter(None, statuses), 0)
    return worst if worst >= 0 else 128 - worst


def _end(program: Callable[[], Program], deadline: float) -> int | None:
    """The exit status of what now runs as the program; None if it goes on after `deadline`."""
    while True:
        running = program()
        left = deadline - time.monotonic()
        try:
            return running.wait(timeout=max(0.0, min(_SLICE, left)))
        except ProgramError:
            if left <= 0:
                return None


def _teller(name: str) -> Callable[[Line], None]:
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}

    def tell(line: Line) -> None:
        print(f"{name} | {line.text}", file=streams[line.stream], flush=True)

    return tell


def _command(text: str) -> tuple[str, tuple[str, ...]]:
    node, separator, command = text.partition("=")
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"cannot read the command {command!r}: {error}") from None
    if not separator or not node or not words:
        raise UsageError(f"{text!r} names no program on a node: give NODE=CMD")
    return node, words


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _A_DAY:
        raise UsageError(f"{text!r} must be a number of seconds, above 0 and at most a day")
    return value


def _checked(parse: Callable[[str], object]) -> Callable[[str], object]:
    def parse_argument(text: str) -> object:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument
