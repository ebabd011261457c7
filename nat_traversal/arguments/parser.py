"""A parser of arguments whose errors are one line each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from nat_traversal.errors import UsageError

T = TypeVar("T")

WRONG_USAGE = 2
"""The exit status, as argparse's own."""


class _Single(argparse.Action):
    """Stores an option's value. A second one is refused: it would replace the first in silence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del parser
        if option_string is not None:
            given = vars(namespace).setdefault("options_given", set())
            if self.dest in given:
                raise argparse.ArgumentError(self, "given twice, but it takes one value")
            given.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """As argparse's, with one line for an error instead of the whole usage, and one value for an option."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        super().__init__(*arguments, **how)
        for name in (None, "store"):
            self.register("action", name, _Single)

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
