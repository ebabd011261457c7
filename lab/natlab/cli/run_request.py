"""The commands of `lab run` and `lab topology`: their options, and the run that these ask for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from natlab.cli.methods import add_methods_option
from natlab.faults.grammar import Scheduled, parse_fault, require_programs
from natlab.links.conditions import DEFAULT_LINKS, LinkConditions
from natlab.links.options import link_conditions
from natlab.nat.rules import Firewall
from natlab.programs.readiness import readiness

_OF_A_PAIR = {"server": "server", "a": "host_a", "b": "host_b"}
"""The options of `lab run` that name a node by themselves."""


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
        type=checked(readiness),
        help="start the others when the server's command has udp:PORT or tcp:PORT open, or has said a"
        " line like this regular expression",
    )
    group.add_argument(
        "--ready-for",
        metavar="PROGRAM=PATTERN",
        action="append",
        type=checked(_ready_for),
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
    programs: dict[str, On] = {}
    for each in commands:
        programs[_free_name(each.node, programs)] = each
    until = _OF_A_PAIR.get(options.until, options.until)
    if until is not None and until not in programs:
        raise UsageError(f"--until {until}: choose from {', '.join(programs)}")
    require_programs(options.fault or (), programs)
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


def _free_name(node: str, programs: Mapping[str, On]) -> str:
    """The node's name, or the first of NODE-2, NODE-3, ... that no program has; a node may be called so."""
    if node not in programs:
        return node
    return next(name for n in count(2) if (name := f"{node}-{n}") not in programs)


SERVERS = ""
"""Stands for the first server's program, whose name only the network knows."""


def _ready(options: argparse.Namespace, programs: Mapping[str, On]) -> dict[str, str]:
    """When which program is ready; ``--ready`` is about the first server's."""
    found = {} if options.ready is None else {SERVERS: options.ready}
    for name, pattern in options.ready_for or ():
        program = _OF_A_PAIR.get(name, name)
        if program not in programs:
            raise UsageError(f"--ready-for {name}: choose from {', '.join(programs)}")
        if program in found or (program == "server" and SERVERS in found):
            raise UsageError(f"--ready-for {name}: it was said before when that is ready")
        found[program] = pattern
    return found


def _ready_for(text: str) -> tuple[str, str]:
    program, separator, ready = text.partition("=")
    if not separator or not program or not ready:
        raise UsageError(f"{text!r} says of no program when it is ready: give PROGRAM=PATTERN")
    return program, readiness(ready)


def _refuse_without_commands(options: argparse.Namespace, add: str) -> None:
    for option in ("ready", "ready_for", "timeout", "until", "fault"):
        if getattr(options, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')} is for commands: add {add}")


def _command(text: str) -> On:
    node, separator, command = text.partition("=")
    if not separator or not node or not command:
        raise UsageError(f"{text!r} names no program on a node: give NODE=CMD")
    return On(node, command, f"--on {node}")


def _timeout(text: str) -> float:
    return parse_duration(text, least=0.001, most=DAY)
