"""`python -m lab run` without commands: one cell of the matrix, with every check told."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.text import Text

from nat_traversal.arguments.durations import DAY
from natlab.cli.status import Exit
from natlab.cli.turn import check_turn, methods_behind_nats
from natlab.links.options import link_conditions
from natlab.matrix.jobs import CellJob
from natlab.matrix.running import run
from natlab.report.directory import own_directory
from natlab.report.words import costs, faults, opened, verdict
from natlab.sandbox import sandbox


def run_pair(options: argparse.Namespace) -> Exit:
    """Run the project's own server and clients behind the NATs of `options`."""
    methods = methods_behind_nats(options)
    check_turn(options.turn, methods, [(options.nat_a, options.nat_b)], own=True)
    job = CellJob(
        options.nat_a,
        options.nat_b,
        options.report,
        verbose=True,
        keep_open=options.keep_open,
        links=link_conditions(options),
        firewall=options.firewall,
        methods=methods,
        key_log=options.key_log,
        turn=options.turn,
    )
    timeout = DAY if options.keep_open else job.timeout
    with own_directory(options.report):
        cell = sandbox.call(timeout, run, job)
    console = Console()
    for check in cell.checks:
        mark = "ok    " if check.ok else "NOT SO"
        console.print(Text(f"{mark} {check.name}: {check.why}"))
    console.print(Text(verdict(cell)))
    for line in (*costs(cell), *opened(cell)):
        console.print(Text(line))
    for fault in faults(cell):
        console.print(Text(fault, style="bold red"))
    if cell.pcap is not None:
        console.print(Text(f"capture: {options.report.parent / cell.pcap}"))
    return Exit.OK if cell.ok else Exit.NOT_AS_PREDICTED
