"""The option `--config`: a TOML file that gives a command's other options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from nat_traversal.arguments.parser import Parser
from nat_traversal.arguments.ranges import check_setting
from nat_traversal.errors import UsageError

T = TypeVar("T")

_ELSEWHERE = ("config", "help", "version")
"""Options that a file cannot have."""


def add_option(parser: argparse.ArgumentParser, settings: type[Any]) -> None:
    """Add `--config`. `settings`: the type of those that `--set` changes."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file with the names of these options as its keys; "
        "the command line counts more",
    )
    parser.set_defaults(parser=parser, check_setting=partial(check_setting, settings))


def merged(options: argparse.Namespace) -> argparse.Namespace:
    """`options` of a command line, and those that its file adds. Reads the file. Raises `UsageError`.

    A client's also get the peers, as `client_file`.
    """
    if options.command == "client":
        return _client_merged(options)
    if getattr(options, "config", None) is None:
        return options
    # Most starts have no file.
    from nat_traversal.arguments.config import read  # noqa: PLC0415
    from nat_traversal.arguments.configured import filled, values_of  # noqa: PLC0415

    config = read(options.config)
    tables = {"set": options.check_setting}
    values = values_of(options.parser, config, without=_ELSEWHERE, tables=tables)
    both = filled(options, values)
    both.file = config
    if both.quiet and both.verbose:
        raise config.blamed(UsageError("--quiet and --verbose exclude each other: give one"))
    return both


def _client_merged(options: argparse.Namespace) -> argparse.Namespace:
    """A client has a file if it names one, or if it names no peer and the usual one is there."""
    parser: Parser = options.parser
    if options.config is None and options.remote is not None and options.server is not None:
        return options
    from nat_traversal.cli.peers.places import found  # noqa: PLC0415 - most starts have no file

    path = None
    if options.config is not None or options.remote is None:
        path = found(options.config, os.environ)
    if path is None:
        needed = [("--server", options.server), ("-r/--remote", options.remote)]
        lacking = ", ".join(name for name, value in needed if value is None)
        parser.error(f"the following arguments are required: {lacking}")
    from nat_traversal.cli.peers.file import read_file  # noqa: PLC0415

    both, file = read_file(path, options, os.environ)
    both.client_file = file
    return both


def request_of(options: argparse.Namespace, parse: Callable[[argparse.Namespace], T]) -> T:
    """The request that `parse` makes of merged options. Raises `UsageError`, with the place in the file."""
    try:
        return parse(options)
    except UsageError as error:
        file = getattr(options, "file", None)
        raise error if file is None else file.blamed(error) from None
