"""`python -m lab run` with commands: any programs behind any pair of NATs, as if started by hand.

Output is printed as it comes, each line after the node's name. The exit status is that of the
programs (`RunStatus` has the others): host_a's if it is not 0, else host_b's, else the server's if it
ran alone. Everything else goes to the directory of the report.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path

from lab.command_line import command_words, require_program
from lab.errors import LabError, ProgramError
from lab.faults import Scheduled, parse_fault
from lab.link_conditions import PLAIN, LinkConditions
from lab.link_options import link_conditions
from lab.scenario import LADDER_FILE, LabProgram, NatLab
from lab.standing import CAPTURE_FILE
from nat_traversal.errors import UsageError

NODES = {"server": "server", "a": "host_a", "b": "host_b"}
READY_WITHIN = 20.0
_SLICE = 0.5
"""Seconds for which the sandbox is asked to wait at a time; Ctrl-C is answered at the latest then."""


class RunStatus(IntEnum):
    """Exit statuses that are not the programs' own; 2, 124, 125 and 127 as other wrappers use them."""

    USAGE = 2
    TIMED_OUT = 124
    LAB_FAILED = 125
    """The lab could not be made, or the server did not become ready: no verdict on the programs."""
    NO_SUCH_PROGRAM = 127
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Run:
    """What to run, by ``server``, ``a`` and ``b``, at least one of them; `timeout` in seconds."""

    nat_a: str
    nat_b: str
    commands: dict[str, str]
    directory: Path
    ready: str | None = None
    timeout: float | None = None
    until: str | None = None
    """``a`` or ``b``: the run is over when that has ended. None: when both have."""
    keep_open: bool = False
    links: LinkConditions = PLAIN
    faults: Sequence[Scheduled] = ()
    """Their times count from the start of the last command."""


def add_options(
    parser: argparse.ArgumentParser, argument: Callable[..., Callable[[str], object]]
) -> None:
    """The options of `lab run` that are about commands."""
    group = parser.add_argument_group(
        "commands",
        "Without any, the project's own server and clients run. With at least one, exit statuses are"
        " the commands' own (host_a's first), or 124 after --timeout, 125 if the lab failed, 127 if a"
        " program does not exist. Commands may contain $LAB_SERVER, $LAB_SELF, $LAB_PEER and others.",
    )
    for option, node in (("--server", "server"), ("--a", "host_a"), ("--b", "host_b")):
        group.add_argument(option, metavar="CMD", help=f"run this on {node}")
    group.add_argument(
        "--ready",
        metavar="PATTERN",
        help="start host_a's and host_b's commands when the server has udp:PORT or tcp:PORT open, or"
        " has said a line like this regular expression",
    )
    group.add_argument(
        "--timeout", metavar="S", type=argument(_seconds), help="end everything after S seconds"
    )
    group.add_argument(
        "--fault",
        metavar="FAULT",
        action="append",
        type=argument(parse_fault),
        help="what goes wrong and when (repeat it), as at=2.5s:link-down host_a, after the start of"
        " host_a's and host_b's commands, or on=host_a:TEXT:nat-reboot nat_a, after host_a said TEXT",
    )
    group.add_argument(
        "--until", choices=("a", "b"), help="end everything when this command has ended"
    )


def run_from(options: argparse.Namespace) -> Run | None:
    """The run that `options` ask for; None if they name no command. Raises `UsageError`."""
    named = {letter: getattr(options, letter) for letter in NODES}
    commands = {letter: text for letter, text in named.items() if text is not None}
    if not commands:
        for option in ("ready", "timeout", "until", "fault"):
            if getattr(options, option) is not None:
                raise UsageError(f"--{option} is for commands: add --server, --a or --b")
        return None
    if options.ready is not None and "server" not in commands:
        raise UsageError("--ready is about the server's command: add --server")
    if options.until is not None and options.until not in commands:
        raise UsageError(f"--until {options.until} needs --{options.until}")
    return Run(
        options.nat_a,
        options.nat_b,
        commands,
        options.report,
        options.ready,
        options.timeout,
        options.until,
        options.keep_open,
        link_conditions(options),
        options.fault or (),
    )


def run_commands(run: Run) -> int:
    """Run them, print what they say, and return the exit status."""
    try:
        for letter, text in run.commands.items():
            require_program(command_words(text), f"--{letter}")
    except ProgramError as error:
        return _complain(str(error), RunStatus.NO_SUCH_PROGRAM)
    try:
        with NatLab(run.nat_a, run.nat_b, run.directory, run.links) as lab:
            return _run_in(lab, run)
    except KeyboardInterrupt:
        return _complain("interrupted", RunStatus.INTERRUPTED)
    except LabError as error:
        return _complain(_first_line(error), RunStatus.LAB_FAILED)


def _run_in(lab: NatLab, run: Run) -> int:
    try:
        status = _converse(lab, run)
        if run.keep_open:
            lab.prompt()
    except KeyboardInterrupt:
        status = _complain("interrupted: ending what still runs", RunStatus.INTERRUPTED)
    except LabError as error:
        status = _complain(_first_line(error), RunStatus.LAB_FAILED)
    if run.faults:
        status = _tell_faults(lab, status)
    for trouble in lab.finish():
        status = _complain(trouble.partition("\n")[0], RunStatus.LAB_FAILED)
    if (lab.directory / CAPTURE_FILE).exists():
        kept = f"{CAPTURE_FILE}, {LADDER_FILE}, rules and output are in {lab.directory}"
        print(f"lab | {kept}", file=sys.stderr)
    return status


def _converse(lab: NatLab, run: Run) -> int:
    deadline = None if run.timeout is None else time.monotonic() + run.timeout
    started: dict[str, LabProgram] = {}
    for letter, text in run.commands.items():
        started[letter] = lab.start(NODES[letter], text, name=NODES[letter], tell=True)
        if letter == "server" and run.ready is not None:
            within = min(READY_WITHIN, run.timeout or READY_WITHIN)
            started[letter].wait_until_ready(run.ready, timeout=within)
    if run.faults:
        lab.begin_faults(run.faults)
    hosts = [run.until] if run.until else [x for x in ("a", "b") if x in started]
    statuses: list[int] = []
    for letter in hosts or ["server"]:
        status = _wait(started[letter], deadline)
        if status is None:
            running = [each.name for each in started.values() if each.exit_status is None]
            text = f"{', '.join(running)} still ran after {run.timeout:g} s"
            return _complain(text, RunStatus.TIMED_OUT)
        statuses.append(status)
    if hosts and "server" in started and (early := started["server"].exit_status) is not None:
        print(f"lab | the server ended early, with exit status {early}", file=sys.stderr)
    worst = next(filter(None, statuses), 0)
    return worst if worst >= 0 else 128 - worst  # as shells tell a signal


def _tell_faults(lab: NatLab, status: int) -> int:
    """Print what came of the faults. One that did not happen spoils the run."""
    try:
        told = lab.end_faults()
    except LabError as error:
        return _complain(_first_line(error), RunStatus.LAB_FAILED)
    for each in told.injected:
        clock = datetime.fromtimestamp(each.at).astimezone().strftime("%H:%M:%S.%f")
        print(f"lab | {clock} {each.fault}", file=sys.stderr)
    for text in told.errors:
        status = _complain(f"fault: {text}", RunStatus.LAB_FAILED)
    if told.missed and not told.errors:
        missed = ", ".join(map(str, told.missed))
        status = _complain(f"the run ended before these faults: {missed}", RunStatus.LAB_FAILED)
    return status


def _wait(program: LabProgram, deadline: float | None) -> int | None:
    while True:
        left = _SLICE if deadline is None else min(_SLICE, deadline - time.monotonic())
        status = program.status_within(max(left, 0.0))
        if status is not None or left <= 0:
            return status


def _first_line(error: LabError) -> str:
    """Its last lines, which errors of programs quote below, were printed already."""
    return re.sub(r"; its last lines:.*", "", str(error), flags=re.DOTALL)


def _complain(text: str, status: RunStatus) -> int:
    print(f"error: {text}", file=sys.stderr)
    return status


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise UsageError(f"{text!r} must be a number of seconds, above 0 and at most a day")
    return value
