"""A parser of arguments whose errors are one line each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn, TypeVar

from nat_traversal.errors import UsageError

T = TypeVar("T")

WRONG_USAGE = 2
"""The exit status, as argparse's own."""


class Parser(argparse.ArgumentParser):
    """As argparse's, with one line for an error instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with status 2."""
        self.exit(WRONG_USAGE, f"error: {message} (see {self.prog} --help)\n")


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` as a ``type`` for argparse, which so shows the one line of its `UsageError`."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument
