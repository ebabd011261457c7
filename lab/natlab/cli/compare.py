"""`python -m lab compare`: the changes between two reports."""

from __future__ import annotations

import argparse
from pathlib import Path

from natlab.cli.status import Exit
from natlab.report.compare import compare, print_comparison
from natlab.report.files import read_report


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    for name in ("old", "new"):
        parser.add_argument(
            name, metavar=name.upper(), type=Path, help="a report's directory or its report.json"
        )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Exit:
    old, new = read_report(options.old), read_report(options.new)
    print_comparison(old, new)
    return Exit.WORSE if any(change.is_worse for change in compare(old, new)) else Exit.OK
