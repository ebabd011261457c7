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
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from pathlib import Path

from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from natlab.cli.firewall import add_firewall_option, check_firewall
from natlab.cli.key_log import add_key_log_option, check_key_log
from natlab.cli.methods import add_methods_option
from natlab.cli.status import complain
from natlab.errors import LabError, ProgramError
from natlab.faults.grammar import Scheduled, parse_fault
from natlab.links.conditions import DEFAULT_LINKS, LinkConditions
from natlab.links.options import add_link_options, link_conditions
from natlab.nat.rules import Firewall
from natlab.network.addressing import Role
from natlab.presets import HOW_TO_NAME, preset
from natlab.programs.command_line import command_words, require_program
from natlab.report.directory import own_directory
from natlab.testbed.api import TopologyLab
from natlab.testbed.files import CAPTURE_FILE, LADDER_FILE
from natlab.testbed.program import LabProgram

_OF_A_PAIR = {"server": "server", "a": "host_a", "b": "host_b"}
"""The options of `lab run` that name a node by themselves."""
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
class On:
    """A command for a node, and the option by which it was given."""

    node: str
    text: str
    option: str


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The commands, and where they run; `timeout` in seconds."""

    topology: str
    commands: Mapping[str, On]
    """By the program's name: its node's, and NODE-2 for a second one there. Servers' start first."""
    directory: Path
    ready: Mapping[str, str] = field(default_factory=dict)
    """When a program is ready, by its name: the others wait for it."""
    timeout: float | None = None
    until: str | None = None
    """The run is over when this program has ended. None: when all on hosts have."""
    keep_open: bool = False
    links: LinkConditions = DEFAULT_LINKS
    faults: Sequence[Scheduled] = ()
    """Their times count from the start of the last command."""
    firewall: Firewall = Firewall.NFTABLES


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
    add_options(parser, pair=True)
    add_link_options(parser)
    parser.set_defaults(run=_run, broken=RunStatus.LAB_FAILED)


def _run(options: argparse.Namespace) -> int:
    check_firewall(options.firewall, (options.nat_a, options.nat_b))
    run = run_of_pair(options)
    check_key_log(options.key_log, own=run is None)
    if run is not None:
        return run_commands(run)
    from natlab.cli.pair import run_pair  # noqa: PLC0415 - it reads all that a cell needs

    return run_pair(options)


def add_options(parser: argparse.ArgumentParser, *, pair: bool = False) -> None:
    """The options that are about commands; with `pair` those for host_a and host_b."""
    group = parser.add_argument_group(
        "commands",
        "Exit statuses are the commands' own, or 124 after --timeout, 125 if the lab failed, 127 if a"
        " program does not exist. Commands may contain $LAB_SERVER, $LAB_SELF, $LAB_PEER and others."
        + (" Without any, the project's own server and clients run." if pair else ""),
    )
    for letter, node in _OF_A_PAIR.items() if pair else ():
        group.add_argument(f"--{letter}", metavar="CMD", help=f"run this on {node}")
    group.add_argument(
        "--on",
        metavar="NODE=CMD",
        action="append",
        type=checked(_command),
        help="run this there (repeat it); the program is called as its node, a second one NODE-2",
    )
    group.add_argument(
        "--ready",
        metavar="PATTERN",
        help="start the others when the server's command has udp:PORT or tcp:PORT open, or has said a"
        " line like this regular expression",
    )
    group.add_argument(
        "--ready-for",
        metavar="PROGRAM=PATTERN",
        action="append",
        type=checked(_readiness),
        help="the same for any program (repeat it), as host_b=udp:5000: those that have one start first,"
        " in their order, each when the one before is ready",
    )
    group.add_argument(
        "--timeout",
        metavar="DURATION",
        type=checked(_timeout),
        help="end everything after so long, as 90s or 2m",
    )
    group.add_argument(
        "--fault",
        metavar="FAULT",
        action="append",
        type=checked(parse_fault),
        help="a fault and its moment (repeat it), as at=2.5s:link-down host_a, after the start of"
        " the last command, or on=host_a:TEXT:nat-reboot nat_a, after host_a said TEXT",
    )
    group.add_argument(
        "--until",
        metavar="a|b|PROGRAM" if pair else "PROGRAM",
        help="end everything when this has ended (default: when all on hosts have)",
    )
    group.add_argument(
        "--keep-open", action="store_true", help="end with Mininet's prompt on the standing lab"
    )
    add_methods_option(parser)


def run_of_pair(options: argparse.Namespace) -> RunRequest | None:
    """The run that `options` of `lab run` ask for; None if they name no command. Raises `UsageError`."""
    named = [
        On(node, text, f"--{letter}")
        for letter, node in _OF_A_PAIR.items()
        if (text := getattr(options, letter)) is not None
    ]
    commands = [*named, *(options.on or ())]
    if not commands:
        _refuse_without_commands(options, "--server, --a or --b")
        return None
    if options.ready is not None and "server" not in {each.node for each in commands}:
        raise UsageError("--ready is about the server's command: add --server")
    if options.until in {"a", "b"} and getattr(options, options.until) is None:
        raise UsageError(f"--until {options.until} needs --{options.until}")
    return run_of(f"two_nats,nat_a={options.nat_a},nat_b={options.nat_b}", commands, options)


def run_of(topology: str, commands: Sequence[On], options: argparse.Namespace) -> RunRequest:
    """The run of `commands` in `topology` that `options` ask for. Raises `UsageError`."""
    if not commands:
        _refuse_without_commands(options, "--on NODE=CMD")
    times: Counter[str] = Counter()
    programs = {}
    for each in commands:
        times[each.node] += 1
        count = times[each.node]
        programs[each.node if count == 1 else f"{each.node}-{count}"] = each
    until = _OF_A_PAIR.get(options.until, options.until)
    if until is not None and until not in programs:
        raise UsageError(f"--until {until}: choose from {', '.join(programs)}")
    return RunRequest(
        topology,
        programs,
        options.report,
        _ready(options, programs),
        options.timeout,
        until,
        options.keep_open,
        link_conditions(options),
        options.fault or (),
        options.firewall,
    )


_SERVERS = ""
"""Stands for the first server's program, whose name only the network knows."""


def _ready(options: argparse.Namespace, programs: Mapping[str, On]) -> dict[str, str]:
    """When which program is ready; ``--ready`` is about the first server's."""
    found = {} if options.ready is None else {_SERVERS: options.ready}
    for name, pattern in options.ready_for or ():
        program = _OF_A_PAIR.get(name, name)
        if program not in programs:
            raise UsageError(f"--ready-for {name}: choose from {', '.join(programs)}")
        if program in found or (program == "server" and _SERVERS in found):
            raise UsageError(f"--ready-for {name}: it was said before when that is ready")
        found[program] = pattern
    return found


def _readiness(text: str) -> tuple[str, str]:
    program, separator, pattern = text.partition("=")
    if not separator or not program or not pattern:
        raise UsageError(f"{text!r} says of no program when it is ready: give PROGRAM=PATTERN")
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}") from None
    return program, pattern


def _refuse_without_commands(options: argparse.Namespace, add: str) -> None:
    for option in ("ready", "ready_for", "timeout", "until", "fault"):
        if getattr(options, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')} is for commands: add {add}")


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
    if _SERVERS in ready:
        if not servers:
            raise UsageError(
                "--ready is about the server's command: add --on NODE=CMD for the server"
            )
        ready[servers[0]] = ready.pop(_SERVERS)
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


def _command(text: str) -> On:
    node, separator, command = text.partition("=")
    if not separator or not node or not command:
        raise UsageError(f"{text!r} names no program on a node: give NODE=CMD")
    return On(node, command, f"--on {node}")


def _timeout(text: str) -> float:
    return parse_duration(text, least=0.001, most=DAY)
