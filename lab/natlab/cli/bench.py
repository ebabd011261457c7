"""`python -m lab bench`: a cell's network beside a script, forwarding beside socat, and their history."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from nat_traversal.arguments.parser import checked
from natlab.bench.rows import ROWS, Measured
from natlab.cli import bench_history
from natlab.cli.arguments import positive
from natlab.cli.bench_forwarding import (
    forwarding_table,
    headline,
    measure_forwarding,
    measure_memory,
)
from natlab.cli.bench_lab import BOUND, PAIRS, bring_up_table, measure_bring_up
from natlab.cli.status import Exit

_WIDE = 120
"""Columns of what is no terminal."""


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=("lab", "forwarding"),
        help="only this: bringing a cell's network up and down, or forwarding datagrams",
    )
    parser.add_argument(
        "--rows",
        metavar="NAME",
        nargs="+",
        choices=[row.name for row in ROWS],
        default=[],
        help=f"only these rows of forwarding: {', '.join(row.name for row in ROWS)}",
    )
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=checked(positive),
        default=3,
        help="run each chain so often (default: 3)",
    )
    parser.add_argument(
        "--record",
        metavar="FILE",
        nargs="?",
        type=Path,
        const=bench_history.DEFAULT,
        help=f"add a row to this history, and renew its page (default: {bench_history.DEFAULT})",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Exit:
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    if options.record is not None:
        bench_history.read(options.record)  # what cannot be read is told before measuring
    network: dict[str, float] = {}
    measured: list[Measured] = []
    memory: dict[int, int] = {}
    if options.what != "forwarding":
        for pair in PAIRS:
            taken = measure_bring_up(*pair)
            console.print(bring_up_table(taken))
            network[", ".join(pair)] = taken.ratio
    if options.what != "lab":
        measured = measure_forwarding(options.rows, options.pairs)
        console.print(forwarding_table(measured))
        if not options.rows:
            memory = measure_memory()
            for flows, octets in memory.items():
                console.print(f"memory of both clients, {flows} flows: {octets / 2**20:.1f} MiB")
    if options.record is not None:
        row = bench_history.row_now(network, headline(measured), measured, memory)
        bench_history.append(options.record, row)
        print(f"recorded: {options.record}, {options.record.with_suffix('.md')}")
    return Exit.SLOW if any(ratio > BOUND for ratio in network.values()) else Exit.OK
