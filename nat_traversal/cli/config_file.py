"""The option `--config`: a TOML file that gives a command's other options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from nat_traversal.arguments.near import near
from nat_traversal.errors import UsageError
from nat_traversal.settings import names
from nat_traversal.settings import parse as parse_settings

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
    parser.set_defaults(parser=parser, check_setting=partial(_check_setting, settings))


def merged(options: argparse.Namespace) -> argparse.Namespace:
    """`options` of a command line, and those that its file adds. Reads the file. Raises `UsageError`."""
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


def request_of(options: argparse.Namespace, parse: Callable[[argparse.Namespace], T]) -> T:
    """The request that `parse` makes of merged options. Raises `UsageError`, with the place in the file."""
    try:
        return parse(options)
    except UsageError as error:
        file = getattr(options, "file", None)
        raise error if file is None else file.blamed(error) from None


def _check_setting(settings: type[Any], name: str, text: str) -> None:
    known = names(settings)
    if name not in known:
        raise UsageError(f"there is no setting {name!r}: {near(name, known)}")
    parse_settings(settings, [f"{name}={text}"])
