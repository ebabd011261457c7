"""`python -m lab bench`: a cell's network beside a script, forwarding beside socat, and their history."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from natlab.cli import bench_history
from natlab.cli.bench_forwarding import forwarding_table, measure_forwarding
from natlab.cli.bench_lab import BOUND, PAIRS, bring_up_table, measure_bring_up
from natlab.cli.status import Exit


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=("lab", "forwarding"),
        help="only this: bringing a cell's network up and down, or forwarding datagrams",
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
