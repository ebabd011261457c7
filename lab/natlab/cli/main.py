"""The lab's command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nat_traversal.arguments.durations import DAY
from nat_traversal.arguments.parser import Parser, checked
from nat_traversal.errors import NatTraversalError, UsageError
from natlab.behavior import NINE
from natlab.cli import bench_history, doctor
from natlab.cli.arguments import program_name
from natlab.cli.bench import BOUND, PAIRS, bring_up_table, measure_bring_up
from natlab.cli.bench_forwarding import forwarding_table, measure_forwarding
from natlab.cli.firewall import add_firewall_option, check_firewall
from natlab.cli.run import RunStatus, add_options, run_commands, run_of_pair
from natlab.cli.shell import add_shell
from natlab.cli.topology import add_topology
from natlab.errors import LabError
from natlab.links.options import add_link_options, link_conditions
from natlab.matrix.cell import CellJob, run_cell
from natlab.matrix.matrix import Plan, default_jobs, progress_bar, run_matrix
from natlab.nat.rules import Firewall, rules_for
from natlab.network.addressing import side
from natlab.presets import HOW_TO_NAME, PRESETS, preset
from natlab.probe import conformance, conformance_table
from natlab.report.compare import compare, print_comparison
from natlab.report.directory import own_directory
from natlab.report.files import read_report
from natlab.report.table import print_table
from natlab.report.words import faults
from natlab.sandbox import sandbox
from natlab.sandbox.streams import lost_output, never_fail_on_output
from natlab.sandbox.threads import end_process_with_any_thread


class Exit(IntEnum):
    """Exit statuses."""

    OK = 0
    NOT_AS_PREDICTED = 1
    """A cell observed something else than predicted, or a check failed."""
    WORSE = 1
    """Of two reports, the new one has an outcome that is worse."""
    SLOW = 1
    """A network took longer beside the script that makes the same than `natlab.cli.bench.BOUND` allows."""
    USAGE = 2
    UNAVAILABLE = 3
    """This machine cannot run the lab, or there was no room for what it says: no verdict. The text says
    what would help."""
    INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the lab. The exit status is its verdict, whoever reads what it prints."""
    never_fail_on_output()
    parser = _options()
    broken: int = Exit.UNAVAILABLE
    try:
        options = parser.parse_args(arguments)
        broken = options.broken
        end_process_with_any_thread(broken)
        status = _run_command(options)
    except SystemExit as end:  # after --help, or for wrong arguments
        status = end.code if isinstance(end.code, int) else 0
    if (lost := lost_output()) is not None:
        return status or _complain(lost, broken)
    return status


def _run_command(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except UsageError as error:
        return _complain(str(error), Exit.USAGE)
    except (LabError, NatTraversalError) as error:
        return _complain(str(error), Exit.UNAVAILABLE)
    except Exception:  # noqa: BLE001 - the interpreter's own status for it is 1, which is a verdict
        traceback.print_exc()
        return int(options.broken)
    except KeyboardInterrupt:
        # Worker threads may wait for their cells; the kernel ends these with this process.
        _complain("interrupted: no report was written", Exit.INTERRUPTED)
        sys.stdout.flush()
        os._exit(Exit.INTERRUPTED)


def _options() -> argparse.ArgumentParser:
    parser = Parser(
        program_name(), description="A lab of real Linux NATs in Mininet.", epilog=HOW_TO_NAME
    )
    parser.set_defaults(broken=Exit.UNAVAILABLE)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    matrix = commands.add_parser("matrix", help="run pairs of NATs and report", epilog=HOW_TO_NAME)
    for option, which in (
        ("--nat", "every pair of these"),
        ("--nat-a", "only these on host_a's side"),
        ("--nat-b", "only these on host_b's side"),
    ):
        matrix.add_argument(
            option,
            action="append",
            metavar="NAT",
            type=checked(lambda name: preset(name).name),
            help=f"{which} (repeat it; default: all)",
        )
    matrix.add_argument(
        "--nine",
        action="store_const",
        const=NINE,
        default=(),
        help="every pair of the nine behaviours of RFC 4787: 81 cells",
    )
    matrix.add_argument(
        "--jobs",
        metavar="N",
        type=checked(_positive),
        default=default_jobs(),
        help="cells at a time (default: %(default)s)",
    )
    matrix.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        default=Path("lab-report"),
        help="where the report goes (default: %(default)s)",
    )
    matrix.add_argument(
        "--repeat",
        metavar="N",
        type=checked(_positive),
        default=1,
        help="run every pair N times, and tell when runs disagree",
    )
    add_firewall_option(matrix)
    add_link_options(matrix)
    matrix.set_defaults(run=_matrix)

    comparison = commands.add_parser("compare", help="what changed between two reports")
    for name in ("old", "new"):
        comparison.add_argument(
            name, metavar=name.upper(), type=Path, help="a report's directory or its report.json"
        )
    comparison.set_defaults(run=_compare)

    run = commands.add_parser(
        "run", help="run one pair of NATs, and tell every stage", epilog=HOW_TO_NAME
    )
    for letter in "ab":
        run.add_argument(
            f"--nat-{letter}",
            required=True,
            metavar="NAT",
            type=checked(lambda name: preset(name).name),
            help=f"host_{letter}'s NAT",
        )
    run.add_argument("--report", metavar="DIR", type=Path, default=Path("lab-report/run"))
    add_firewall_option(run)
    add_options(run, pair=True)
    add_link_options(run)
    run.set_defaults(run=_run, broken=RunStatus.LAB_FAILED)

    rules = commands.add_parser(
        "rules", help="show the firewall rules that make a NAT", epilog=HOW_TO_NAME
    )
    rules.add_argument("preset", metavar="NAT", type=checked(preset))
    add_firewall_option(rules)
    rules.set_defaults(run=_rules)

    examine = commands.add_parser("doctor", help="what this machine has, lacks, and uses instead")
    examine.set_defaults(run=_doctor)

    conform = commands.add_parser(
        "conformance", help="ask each NAT whether it is what it says", epilog=HOW_TO_NAME
    )
    conform.add_argument(
        "nats",
        metavar="NAT",
        nargs="*",
        type=checked(lambda name: preset(name).name),
        help="which NATs (default: all nine pairs, and every flag)",
    )
    conform.add_argument(
        "--jobs",
        metavar="N",
        type=checked(_positive),
        default=os.cpu_count() or 1,
        help="NATs at a time (default: %(default)s)",
    )
    for form in ("markdown", "json"):
        conform.add_argument(
            f"--{form}", metavar="FILE", type=Path, help=f"write the findings as {form} as well"
        )
    add_firewall_option(conform)
    conform.set_defaults(run=_conformance)
    add_shell(commands)
    add_topology(commands)

    bench = commands.add_parser("bench", help="a cell beside ip -batch; forwarding beside socat")
    bench.add_argument(
        "what",
        nargs="?",
        choices=("lab", "forwarding"),
        help="only this: bringing a cell's network up and down, or forwarding datagrams",
    )
    bench.add_argument(
        "--record",
        metavar="FILE",
        nargs="?",
        type=Path,
        const=bench_history.DEFAULT,
        help=f"add a row to this history, and renew its page (default: {bench_history.DEFAULT})",
    )
    bench.set_defaults(run=_bench)
    return parser


def _matrix(options: argparse.Namespace) -> Exit:
    names = [*(options.nat or ()), *options.nine] or list(PRESETS)
    pairs = list(dict.fromkeys(product(options.nat_a or names, options.nat_b or names)))
    links = link_conditions(options)
    check_firewall(options.firewall, {name for pair in pairs for name in pair})
    console = Console(stderr=True)
    progress, done = progress_bar(console, len(pairs) * options.repeat)
    with progress:
        plan = Plan(pairs, options.jobs, options.report, options.repeat, links, options.firewall)
        report = run_matrix(plan, done)
    print_table(report)
    print(f"report: {options.report / 'index.html'}")
    return Exit.OK if report.ok else Exit.NOT_AS_PREDICTED


def _compare(options: argparse.Namespace) -> Exit:
    old, new = read_report(options.old), read_report(options.new)
    print_comparison(old, new)
    return Exit.WORSE if any(change.is_worse for change in compare(old, new)) else Exit.OK


def _run(options: argparse.Namespace) -> int:
    check_firewall(options.firewall, (options.nat_a, options.nat_b))
    commands = run_of_pair(options)
    if commands is not None:
        return run_commands(commands)
    job = CellJob(
        options.nat_a,
        options.nat_b,
        options.report,
        verbose=True,
        keep_open=options.keep_open,
        links=link_conditions(options),
        firewall=options.firewall,
    )
    timeout = DAY if options.keep_open else job.timeout
    with own_directory(options.report):
        cell = sandbox.call(timeout, run_cell, job)
    console = Console()
    for check in cell.checks:
        mark = "ok    " if check.ok else "NOT SO"
        console.print(Text(f"{mark} {check.name}: {check.why}"))
    outcome = f"{cell.observed or 'broken'}" + (f" in round {cell.round}" if cell.round else "")
    console.print(Text(f"{cell.nat_a} × {cell.nat_b}: {outcome} (predicted: {cell.predicted})"))
    for fault in faults(cell):
        console.print(Text(fault, style="bold red"))
    if cell.pcap is not None:
        console.print(Text(f"capture: {options.report.parent / cell.pcap}"))
    return Exit.OK if cell.ok else Exit.NOT_AS_PREDICTED


def _rules(options: argparse.Namespace) -> Exit:
    chosen = options.preset
    rules = rules_for(chosen, side("a", chosen).ports, options.firewall)
    print(f"# {chosen.name}: {chosen.summary}\n{rules}", end="")
    return Exit.OK


def _doctor(options: argparse.Namespace) -> Exit:
    del options
    findings = doctor.examine()
    Console().print(doctor.table(findings))
    return Exit.OK if doctor.is_ok(findings) else Exit.UNAVAILABLE


def _conformance(options: argparse.Namespace) -> Exit:
    progress = Console(stderr=True)

    def done(one: conformance.Conformance) -> None:
        progress.print(
            f"{one.name}: {'as it says' if one.ok else 'NOT AS IT SAYS'}", highlight=False
        )

    names = options.nats or (
        conformance.EVERY if options.firewall is Firewall.NFTABLES else conformance.BY_IPTABLES
    )
    check_firewall(options.firewall, names)
    found = conformance.examine_all(names, options.jobs, done, options.firewall)
    Console().print(conformance_table.table(found))
    for path, write in (
        (options.markdown, conformance_table.markdown),
        (options.json, conformance_table.as_json),
    ):
        if path is not None:
            try:
                path.write_text(write(found), encoding="utf-8")
            except OSError as error:
                raise LabError(f"cannot write {path}: {error.strerror}") from None
    return Exit.OK if all(one.ok for one in found) else Exit.NOT_AS_PREDICTED


def _bench(options: argparse.Namespace) -> Exit:
    console = Console()
    if options.record is not None:
        bench_history.read(options.record)  # what cannot be read is told before measuring
    network: dict[str, float] = {}
    forwarding = None
    if options.what != "forwarding":
        for pair in PAIRS:
            measured = measure_bring_up(*pair)
            console.print(bring_up_table(measured))
            network[", ".join(pair)] = measured.ratio
    if options.what != "lab":
        rates = measure_forwarding()
        console.print(forwarding_table(rates))
        forwarding = rates.ratio
    if options.record is not None:
        bench_history.append(options.record, bench_history.row_now(network, forwarding))
        print(f"recorded: {options.record}, {options.record.with_suffix('.md')}")
    return Exit.SLOW if any(ratio > BOUND for ratio in network.values()) else Exit.OK


def _complain(text: str, status: int) -> int:
    print(f"error: {text}", file=sys.stderr)
    return status


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise UsageError(f"{text!r} must be a whole number from 1")
    return int(text)
