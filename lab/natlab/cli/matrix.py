"""`python -m lab matrix`: every pair of NATs, each in a Mininet of its own, and a report."""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

from rich.console import Console

from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import MethodName
from natlab.behavior import NINE
from natlab.cli.arguments import positive
from natlab.cli.firewall import add_firewall_option, check_firewall
from natlab.cli.key_log import add_key_log_option, check_key_log
from natlab.cli.methods import add_methods_option, methods_of
from natlab.cli.status import Exit
from natlab.cli.turn import add_turn_option, check_turn, methods_behind_nats
from natlab.faults.grammar import parse_fault
from natlab.links.options import add_link_options, link_conditions
from natlab.matrix.matrix import Plan, default_jobs, progress_bar, run_matrix
from natlab.oracle.neighbourhood import NEIGHBOURHOODS, Where, parse_where
from natlab.oracle.regions import NAME, Regions, parse_regions
from natlab.presets import HOW_TO_NAME, PRESETS, preset
from natlab.report.table import print_table
from natlab.testbed.program_file import ProgramFile, read_program_file

_NO_PROGRAM = "--topology: a program file names its own: write it there as topology"


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = HOW_TO_NAME
    for option, which in (
        ("--nat", "every pair of these"),
        ("--nat-a", "only these on host_a's side"),
        ("--nat-b", "only these on host_b's side"),
    ):
        parser.add_argument(
            option,
            action="append",
            metavar="NAT",
            type=checked(lambda name: preset(name).name),
            help=f"{which} (repeat it; default: all)",
        )
    parser.add_argument(
        "--nine",
        action="store_const",
        const=NINE,
        default=(),
        help="every pair of the nine behaviours of RFC 4787: 81 cells",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=checked(positive),
        default=default_jobs(),
        help="cells at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        default=Path("lab-report"),
        help="where the report goes (default: %(default)s)",
    )
    parser.add_argument(
        "--repeat",
        metavar="N",
        type=checked(positive),
        default=1,
        help="run every pair N times, and tell when runs disagree",
    )
    parser.add_argument(
        "--topology",
        metavar="NAME[,SETTING=VALUE]",
        type=checked(_place),
        help="where the two hosts are: two_nats (default), in regions with delays between them, as"
        f" regions,a_b=80ms, or neighbours in {', '.join(NEIGHBOURHOODS)}, as shared_cgn,cgn=symmetric",
    )
    parser.add_argument(
        "--program",
        metavar="FILE",
        type=Path,
        help="run the programs of this file, in place of the project's own server and clients",
    )
    parser.add_argument(
        "--fault",
        metavar="FAULT",
        action="append",
        type=checked(parse_fault),
        default=[],
        help="with --program: a fault and its moment (repeat it), as at=4s:nat-reboot nat_a",
    )
    add_methods_option(parser)
    add_turn_option(parser)
    add_key_log_option(parser)
    add_firewall_option(parser)
    add_link_options(parser)
    parser.set_defaults(run=_run)


def _place(text: str) -> Where | Regions | None:
    """Raises `UsageError` for what is none."""
    return parse_regions(text) if text.partition(",")[0] == NAME else parse_where(text)


def program_of(options: argparse.Namespace) -> ProgramFile | None:
    """The program file that the options name, with their faults. Raises `UsageError`."""
    if options.program is None:
        if options.fault:
            raise UsageError("--fault is for programs: add --program FILE")
        return None
    program = read_program_file(options.program)
    program.require_programs_of(options.fault)
    return replace(program, faults=(*program.faults, *options.fault))


def _pairs_in(
    where: Where, options: argparse.Namespace, pairs: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Those of `pairs` that can be in `where`. Raises `UsageError` for options that cannot go with it."""
    if options.program is not None:
        raise UsageError(_NO_PROGRAM)
    if options.key_log:
        raise UsageError("--topology: --key-log is for two_nats, whose ladders show the payload")
    if not where.neighbourhood.has_one_nat:
        is_chosen = options.nat or options.nine or (options.nat_a and options.nat_b)
        return [pair for pair in pairs if _can_be(where, pair, is_chosen=bool(is_chosen))]
    if options.nat_a or options.nat_b:
        raise UsageError(
            f"--topology {where}: both hosts are behind one NAT: give --nat in place of --nat-a and --nat-b"
        )
    return [pair for pair in pairs if pair[0] == pair[1]]


def _can_be(where: Where, pair: tuple[str, str], *, is_chosen: bool) -> bool:
    """Whether `where` has such a pair. Raises `UsageError` if not, for a pair that somebody chose."""
    try:
        where.rung(*pair)
    except UsageError as error:
        if is_chosen:
            raise UsageError(f"--topology {where}: {' × '.join(pair)}: {error}") from None
        return False
    return True


def _methods(options: argparse.Namespace, where: Where | None) -> tuple[MethodName, ...]:
    """Raises `UsageError` for those that cannot be proven there."""
    if where is not None:
        return methods_of(options, *[where.neighbourhood.methods] * 2)
    return methods_behind_nats(options)


def _run(options: argparse.Namespace) -> Exit:
    place: Where | Regions | None = options.topology
    regions = place if isinstance(place, Regions) else None
    where = None if isinstance(place, Regions) else place
    names = [*(options.nat or ()), *options.nine] or list(PRESETS)
    pairs = list(dict.fromkeys(product(options.nat_a or names, options.nat_b or names)))
    program = program_of(options)
    check_key_log(options.key_log, own=program is None)
    if program is not None and options.methods:
        raise UsageError(
            "--methods is for the project's clients: a program file has its own commands"
        )
    methods = _methods(options, where)
    if regions is not None and options.program is not None:
        raise UsageError(_NO_PROGRAM)
    if where is not None:
        pairs = _pairs_in(where, options, pairs)
    if options.turn is not None and where is not None:
        raise UsageError("--turn: only two_nats and regions have a place for coturn")
    check_turn(options.turn, methods, pairs, own=program is None)
    links = link_conditions(options, program.links if program else {})
    nats = {name for pair in pairs for name in pair}
    check_firewall(options.firewall, nats | set(where.settings.values() if where else ()))
    console = Console(stderr=True)
    progress, done = progress_bar(console, len(pairs) * options.repeat)
    with progress:
        plan = Plan(
            pairs,
            options.jobs,
            options.report,
            options.repeat,
            links,
            options.firewall,
            program,
            methods,
            options.key_log,
            where,
            regions,
            options.turn,
        )
        report = run_matrix(plan, done)
    print_table(report)
    print(f"report: {options.report / 'index.html'}")
    return Exit.OK if report.ok else Exit.NOT_AS_PREDICTED
