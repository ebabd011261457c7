"""The lab's command line: arguments in, exit status out. Each command is a file of its name."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from nat_traversal.arguments.parser import Parser
from nat_traversal.errors import NatTraversalError, UsageError
from natlab.cli.arguments import program_name
from natlab.cli.status import Exit, complain
from natlab.errors import LabError
from natlab.presets import HOW_TO_NAME
from natlab.sandbox.streams import lost_output, never_fail_on_output
from natlab.sandbox.threads import end_process_with_any_thread

COMMANDS = {
    "matrix": "run pairs of NATs and report",
    "compare": "the changes between two reports",
    "run": "run one pair of NATs, and tell every stage",
    "rules": "show the firewall rules that make a NAT",
    "doctor": "the tools that this machine has, lacks, and uses instead",
    "conformance": "ask each NAT whether it is what it says",
    "shell": "a prompt on a node of a standing lab, or of a new one",
    "topology": "any topology, also your own, and programs in it",
    "bench": "a cell beside ip -batch; forwarding beside socat",
}
"""Each command: `define` in ``natlab.cli.NAME`` adds its options, and names what runs it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the lab. The exit status is its verdict, whoever reads what it prints."""
    never_fail_on_output()
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser(words)
    broken: int = Exit.UNAVAILABLE
    try:
        options = parser.parse_args(words)
        broken = options.broken
        end_process_with_any_thread(broken)
        status = _run_command(options)
    except SystemExit as end:  # after --help, or for wrong arguments
        status = end.code if isinstance(end.code, int) else 0
    if (lost := lost_output()) is not None:
        return status or complain(lost, broken)
    return status


def _run_command(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except UsageError as error:
        return complain(str(error), Exit.USAGE)
    except (LabError, NatTraversalError) as error:
        return complain(str(error), options.broken)
    except ModuleNotFoundError:
        raise  # the door says how to install what is missing
    except Exception:  # noqa: BLE001 - the interpreter's own status for it is 1, which is a verdict
        traceback.print_exc()
        return int(options.broken)
    except KeyboardInterrupt:
        # Worker threads may wait for their cells; the kernel ends these with this process.
        complain("interrupted: no report was written", Exit.INTERRUPTED)
        sys.stdout.flush()
        os._exit(Exit.INTERRUPTED)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the command that `words` begin with and its options; with all, if there is none.

    Only that command's modules are read: those of a matrix take longer than most commands do.
    """
    parser = Parser(
        program_name(), description="A lab of real Linux NATs in Mininet.", epilog=HOW_TO_NAME
    )
    parser.set_defaults(broken=Exit.UNAVAILABLE)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    if words and words[0] in COMMANDS:
        command = commands.add_parser(words[0], help=COMMANDS[words[0]])
        import_module(f"natlab.cli.{words[0]}").define(command)
        return parser
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose)
    return parser
