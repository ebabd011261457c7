"""`python -m lab rules`: the firewall rules that make a NAT."""

from __future__ import annotations

import argparse

from natlab.cli.firewall import add_firewall_option
from natlab.cli.status import Exit
from natlab.nat.rules import rules_for
from natlab.network.addressing import side
from natlab.presets import HOW_TO_NAME, preset


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = HOW_TO_NAME
    parser.add_argument("nat", metavar="NAT", help="the name of a NAT, or its id")
    add_firewall_option(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Exit:
    chosen = preset(options.nat)
    rules = rules_for(chosen, side("a", chosen).ports, options.firewall)
    print(f"# {chosen.name}: {chosen.summary}\n{rules}", end="")
    return Exit.OK
