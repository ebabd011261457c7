"""`python -m lab topology`: any topology, by name or by path; what is in it, and programs on its nodes."""

# ruff: noqa: PLC0415 - only the sandbox's process imports Mininet

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nat_traversal.errors import UsageError
from natlab.cli.firewall import add_firewall_option
from natlab.cli.run import RunStatus, run_commands
from natlab.cli.run_request import add_options, run_of
from natlab.links.conditions import DEFAULT_LINKS
from natlab.links.options import add_link_options, link_conditions
from natlab.nat.rules import Firewall
from natlab.presets import HOW_TO_NAME
from natlab.sandbox import sandbox
from natlab.testbed.api import BUILD_TIMEOUT

if TYPE_CHECKING:
    from natlab.network.network import Network


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = HOW_TO_NAME
    parser.description = (
        "Without commands, it shows the nodes. With them: as `lab run`, in any topology."
    )
    parser.add_argument(
        "topology", metavar="TOPOLOGY", help="star,peers=4 or PATH.py:NAME,parameter=value"
    )
    parser.add_argument("--report", metavar="DIR", type=Path, default=Path("lab-report/topology"))
    add_firewall_option(parser)
    add_options(parser)
    add_link_options(parser)
    parser.set_defaults(run=_run, broken=RunStatus.LAB_FAILED)


def _run(options: argparse.Namespace) -> int:
    run = run_of(options.topology, options.on or [], options)
    if run.commands or run.keep_open:
        return run_commands(run)
    if link_conditions(options) != DEFAULT_LINKS:
        raise UsageError("links have conditions for commands: add --on NODE=CMD, or --keep-open")
    print(*sandbox.call(BUILD_TIMEOUT, _described, options.topology, options.firewall), sep="\n")
    return 0


def _described(topology: str, firewall: Firewall) -> list[str]:
    """Runs in a sandbox."""
    from natlab.network.base import made_by
    from natlab.network.loading import load
    from natlab.testbed.bed import probed

    with probed(made_by(load(topology), firewall)) as stands:
        network = stands.network
        return [_line(network, name) for name in network.names]


def _line(network: Network, name: str) -> str:
    node = network.node(name)
    addresses = (
        f"{interface} {' '.join(map(str, group))}"
        for interface, group in network.addresses(name).items()
        if group
    )
    kind = f"{node.role} {node.nat.preset.name}" if node.nat else str(node.role)
    return f"{name}: {kind}; {', '.join(addresses)}"
