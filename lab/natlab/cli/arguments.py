"""Values on the lab's command lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nat_traversal.errors import UsageError

T = TypeVar("T")

A_DAY = 86_400.0


def program_name(started: str | None = None) -> str:
    """How the user started the lab, for usage lines and advice; `started` is by default ``sys.argv[0]``."""
    path = Path(sys.argv[0] if started is None else started)
    return f"python -m {path.parent.name}" if path.name == "__main__.py" else "natlab"


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Lets argparse show the one line of a `UsageError` of ours."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument


def seconds(text: str) -> float:
    """A number of seconds, above 0 and at most a day. Raises `UsageError`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= A_DAY:
        raise UsageError(f"{text!r} must be a number of seconds, above 0 and at most a day")
    return value
