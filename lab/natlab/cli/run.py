"""`python -m lab run` and `lab topology` with commands: any programs behind NATs, as if started by hand.

Output is printed as it comes, each line after the program's name. The exit status is that of the
programs (`RunStatus` has the others): the first that is not 0, of those on hosts, or of all where none is
on a host. Everything else goes to the directory of the report.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from pathlib import Path

from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from natlab.cli.firewall import add_firewall_option, check_firewall
from natlab.cli.key_log import add_key_log_option, check_key_log
from natlab.cli.run_request import SERVERS, RunRequest, add_options, run_of_pair
from natlab.cli.status import complain
from natlab.cli.turn import add_turn_option, check_turn
from natlab.errors import LabError, ProgramError
from natlab.links.options import add_link_options
from natlab.network.addressing import Role
from natlab.presets import HOW_TO_NAME, preset
from natlab.programs.command_line import command_words, require_program
from natlab.report.directory import own_directory
from natlab.testbed.api import TopologyLab
from natlab.testbed.files import CAPTURE_FILE, LADDER_FILE
from natlab.testbed.program import LabProgram

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


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lab run`."""
    parser.epilog = HOW_TO_NAME
    for letter in "ab":
        parser.add_argument(
            f"--nat-{letter}",
            required=True,
            metavar="NAT",
            type=checked(lambda name: preset(name).name),
            help=f"host_{letter}'s NAT",
        )
    parser.add_argument("--report", metavar="DIR", type=Path, default=Path("lab-report/run"))
    add_firewall_option(parser)
    add_key_log_option(parser)
    add_turn_option(parser)
    add_options(parser, pair=True)
    add_link_options(parser)
    parser.set_defaults(run=_run, broken=RunStatus.LAB_FAILED)


def _run(options: argparse.Namespace) -> int:
    check_firewall(options.firewall, (options.nat_a, options.nat_b))
    run = run_of_pair(options)
    check_key_log(options.key_log, own=run is None)
    if run is not None:
        check_turn(options.turn, (), (), own=False)
        return run_commands(run)
    from natlab.cli.pair import run_pair  # noqa: PLC0415 - it reads all that a cell needs

    return run_pair(options)


def run_commands(run: RunRequest) -> int:
    """Run them, print what they say, and return the exit status. Raises `UsageError`."""
    try:
        for each in run.commands.values():
            require_program(command_words(each.text), each.option)
    except ProgramError as error:
        return complain(str(error), RunStatus.NO_SUCH_PROGRAM)
    try:
        with (
            own_directory(run.directory),
            TopologyLab(run.topology, run.directory, run.links, run.firewall) as lab,
        ):
            return _run_in(lab, run)
    except KeyboardInterrupt:
        return complain("interrupted", RunStatus.INTERRUPTED)
    except LabError as error:
        return complain(_first_line(str(error)), RunStatus.LAB_FAILED)


def _run_in(lab: TopologyLab, run: RunRequest) -> int:
    told: set[str] = set()
    try:
        status = _converse(lab, run)
        if run.keep_open:
            lab.prompt()
    except KeyboardInterrupt:
        status = complain("interrupted: ending what still runs", RunStatus.INTERRUPTED)
    except LabError as error:
        told.add(_first_line(str(error)))
        status = complain(_first_line(str(error)), RunStatus.LAB_FAILED)
    if run.faults:
        status = _tell_faults(lab, status)
    for trouble in dict.fromkeys(_first_line(text) for text in lab.finish()):
        status = (
            RunStatus.LAB_FAILED if trouble in told else complain(trouble, RunStatus.LAB_FAILED)
        )
    if (lost := _output_lost(lab)) is not None:
        status = status or RunStatus.LAB_FAILED
        complain(lost, RunStatus.LAB_FAILED)
    if (lab.directory / CAPTURE_FILE).exists():
        kept = f"{CAPTURE_FILE}, {LADDER_FILE}, rules and output are in {lab.directory}"
        print(f"lab | links: {run.links}", file=sys.stderr)
        print(f"lab | {kept}", file=sys.stderr)
    return status


def _converse(lab: TopologyLab, run: RunRequest) -> int:
    deadline = None if run.timeout is None else time.monotonic() + run.timeout
    started = _start(lab, run)
    if run.faults:
        lab.begin_faults(run.faults)
    on_hosts = _programs_on(lab, run, Role.HOST)
    statuses: list[int] = []
    for name in [run.until] if run.until else on_hosts or run.commands:
        status = _wait(lab, run, started[name], deadline)
        if run.faults and lab.faults_failed():
            return RunStatus.LAB_FAILED  # the programs may wait for ever for what does not happen
        if status is None:
            running = [each.name for each in started.values() if each.exit_status is None]
            text = f"{', '.join(running)} still ran after {run.timeout:g} s"
            return complain(text, RunStatus.TIMED_OUT)
        statuses.append(status)
    for name in _programs_on(lab, run, Role.SERVER) if on_hosts else ():
        if (early := started[name].exit_status) is not None:
            print(f"lab | the {name} ended early, with exit status {early}", file=sys.stderr)
    worst = next(filter(None, statuses), 0)
    return worst if worst >= 0 else 128 - worst  # as shells tell a signal


def _start(lab: TopologyLab, run: RunRequest) -> dict[str, LabProgram]:
    """The servers' first, then those that say when they are ready, each once the one before is; then the others."""
    for each in run.commands.values():
        lab.environment(each.node)
    servers = _programs_on(lab, run, Role.SERVER)
    ready = dict(run.ready)
    if SERVERS in ready:
        if not servers:
            raise UsageError(
                "--ready is about the server's command: add --on NODE=CMD for the server"
            )
        ready[servers[0]] = ready.pop(SERVERS)
    started: dict[str, LabProgram] = {}
    within = min(READY_WITHIN, run.timeout or READY_WITHIN)

    def start(names: Iterable[str]) -> None:
        for name in names:
            command = run.commands[name]
            started[name] = lab.start(command.node, command.text, name=name, tell=True)

    start(servers)
    for name in sorted(ready, key=[*servers, *run.commands].index):
        start([name] if name not in started else ())
        started[name].wait_until_ready(ready[name], timeout=within)
    start(name for name in run.commands if name not in started)
    return started


def _programs_on(lab: TopologyLab, run: RunRequest, role: Role) -> list[str]:
    nodes = lab.with_role(role)
    return [name for name, each in run.commands.items() if each.node in nodes]


def _tell_faults(lab: TopologyLab, status: int) -> int:
    """Print what came of the faults. One that did not happen spoils the run."""
    try:
        told = lab.end_faults()
    except LabError as error:
        return complain(_first_line(str(error)), RunStatus.LAB_FAILED)
    for each in told.injected:
        clock = datetime.fromtimestamp(each.at).astimezone().strftime("%H:%M:%S.%f")
        print(f"lab | {clock} {each.fault}", file=sys.stderr)
    for text in told.errors:
        status = complain(f"fault: {text}", RunStatus.LAB_FAILED)
    if told.missed and not told.errors:
        missed = ", ".join(map(str, told.missed))
        status = complain(f"the run ended before these faults: {missed}", RunStatus.LAB_FAILED)
    return status


def _wait(
    lab: TopologyLab, run: RunRequest, program: LabProgram, deadline: float | None
) -> int | None:
    while True:
        left = _SLICE if deadline is None else min(_SLICE, deadline - time.monotonic())
        status = program.status_within(max(left, 0.0))
        if status is not None or left <= 0 or (run.faults and lab.faults_failed()):
            return status


def _output_lost(lab: TopologyLab) -> str | None:
    try:
        return lab.output_lost()
    except LabError:  # told before: the sandbox has gone
        return None


def _first_line(text: str) -> str:
    """The last lines, which errors of programs quote below, were printed already."""
    return re.sub(r"; its last lines:.*", "", text, flags=re.DOTALL)
