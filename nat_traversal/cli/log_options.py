"""The options of a server's log: its form, and whether it names hosts."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable

from nat_traversal.cli.lines import JsonLines, LineForm, Prose
from nat_traversal.errors import UsageError
from nat_traversal.machine import notices as note

Veiled = Callable[[note.Notice], note.Notice]


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--log-format` and `--hash-ids`."""
    log = parser.add_argument_group("log on stderr")
    log.add_argument(
        "--log-format",
        choices=["text", "json"],
        default="text",
        help="prose, or a JSON object a line (default: %(default)s)",
    )
    log.add_argument(
        "--hash-ids",
        action="store_true",
        help="a hash in place of each host's id, there and in --json; another one after each start",
    )


def form_of(options: argparse.Namespace, *, dated: bool) -> LineForm:
    """The form of the lines. `dated`: prose needs times of its own."""
    is_json = getattr(options, "log_format", "text") == "json"
    return JsonLines() if is_json else Prose(dated=dated)


def veil_of(options: argparse.Namespace) -> Veiled | None:
    """Hides ids; None: they are told. Raises `UsageError`."""
    if not getattr(options, "hash_ids", False):
        return None
    if options.verbose:
        raise UsageError("--verbose tells every message with its ids: leave out that or --hash-ids")
    from nat_traversal.cli.veil import Veil  # noqa: PLC0415

    return Veil(secrets.token_bytes(32))
