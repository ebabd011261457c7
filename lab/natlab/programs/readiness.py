"""When a program is ready, as users write it: a port that it holds, or a line that it says. Pure."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Literal, cast

from nat_traversal.errors import UsageError

_PORT = re.compile(r"(udp|tcp):([0-9]+)")


@dataclass(frozen=True, slots=True)
class BoundPort:
    """A port that is bound (UDP) or listened on (TCP)."""

    protocol: Literal["udp", "tcp"]
    number: int


def bound_port(ready: str) -> BoundPort | None:
    """The port that ``udp:PORT`` or ``tcp:PORT`` names; None where `ready` is a regular expression.

    Raises `UsageError` for a port that cannot be.
    """
    found = _PORT.fullmatch(ready)
    if found is None:
        return None
    if len(found[2]) > 5 or not 0 < int(found[2]) < 65_536:
        raise UsageError(f"{ready!r} is no port: give one from 1 to 65535")
    return BoundPort(cast(Literal["udp", "tcp"], found[1]), int(found[2]))


def readiness(text: str) -> str:
    """`text`, if it says when a program is ready. Raises `UsageError`."""
    return text if bound_port(text) is not None else pattern(text)


def pattern(text: str) -> str:
    """`text`, if it is a regular expression that means something. Raises `UsageError`."""
    if not text:
        raise UsageError("an empty regular expression fits every line: give a text of the line")
    return regular_expression(text)


def regular_expression(text: str) -> str:
    """`text`, if it is one. Raises `UsageError`."""
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{text!r} is no regular expression: {error}") from None
    return text
