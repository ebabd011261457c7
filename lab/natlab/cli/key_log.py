"""The option `--key-log`: the project's clients in the lab write their keys, and ladders show what frames hold."""

from __future__ import annotations

import argparse

from nat_traversal.errors import UsageError


def add_key_log_option(parser: argparse.ArgumentParser) -> None:
    """Add it to `parser`."""
    parser.add_argument(
        "--key-log",
        action="store_true",
        help="the project's clients write their keys to keys.log beside the capture, for its owner only, and"
        " the ladder shows the programs' datagrams in their frames",
    )


def check_key_log(wanted: bool, *, own: bool) -> None:
    """Raises `UsageError` if others than the project's `own` clients are to run."""
    if wanted and not own:
        raise UsageError(
            "--key-log is for the lab's own clients: give a nat_traversal client in your command its --key-log FILE"
        )
