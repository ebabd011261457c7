"""Lines on stdout of commands that only ask: at once, also into a pipe, and with one word where nobody takes them."""

from __future__ import annotations

import sys
from typing import Any

from nat_traversal.cli.console import discard
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.plain import one_line
from nat_traversal.errors import UsageError


class ReaderLeftError(Exception):
    """Nobody reads the pipe any more: the command ends as other programs in a pipe do."""

    status = Exit.OUTPUT_CLOSED


def print_lines(*lines: str, first: str = "") -> None:
    """After `first`, which is for the terminal, each line as plain text: words of a server may be in it.

    Raises `ReaderLeftError`, or `UsageError` where stdout takes nothing."""
    stream: Any = sys.stdout
    if stream is None:
        raise UsageError("there is no stdout to write to")
    try:
        stream.write(first)
        stream.writelines(f"{one_line(line)}\n" for line in lines)
        stream.flush()
    except BrokenPipeError:
        discard(stream)
        raise ReaderLeftError from None
    except (OSError, ValueError) as error:
        discard(stream)
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"stdout takes no more: {reason}") from None
