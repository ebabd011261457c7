"""`--firewall`: the tool that loads the NATs' rules, and its limits told before anything starts."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from nat_traversal.arguments.parser import checked
from natlab.nat.rules import Firewall, check_made
from natlab.nat.ruleset import parse_firewall
from natlab.presets import preset


def add_firewall_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--firewall``."""
    parser.add_argument(
        "--firewall",
        metavar="|".join(Firewall),
        type=checked(parse_firewall),
        default=Firewall.NFTABLES,
        help="make the NATs with this (default: %(default)s); iptables, with ipset, makes the classic ones",
    )


def check_firewall(firewall: Firewall, names: Iterable[str]) -> None:
    """Raise `UsageError`, with the reason, if `firewall` cannot make one of the NATs `names`."""
    for name in names:
        check_made(preset(name), firewall)
