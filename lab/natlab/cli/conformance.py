"""`python -m lab conformance`: ask each NAT by packets whether it is what its name says."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from nat_traversal.arguments.parser import checked
from natlab.cli.arguments import positive
from natlab.cli.firewall import add_firewall_option, check_firewall
from natlab.cli.status import Exit
from natlab.errors import LabError
from natlab.nat.rules import Firewall
from natlab.presets import HOW_TO_NAME, preset
from natlab.probe import conformance, conformance_table


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = HOW_TO_NAME
    parser.add_argument(
        "nats",
        metavar="NAT",
        nargs="*",
        help="which NATs (default: all nine pairs, and every flag)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=checked(positive),
        default=os.cpu_count() or 1,
        help="NATs at a time (default: %(default)s)",
    )
    for form in ("markdown", "json"):
        parser.add_argument(
            f"--{form}", metavar="FILE", type=Path, help=f"write the findings as {form} as well"
        )
    add_firewall_option(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Exit:
    progress = Console(stderr=True)

    def done(one: conformance.Conformance) -> None:
        progress.print(
            f"{one.name}: {'as it says' if one.ok else 'NOT AS IT SAYS'}", highlight=False
        )

    # Not while options are read: else the value of an unknown option is taken for a wrong name.
    names = [preset(name).name for name in options.nats] or list(
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
