"""An invitation as a QR code in the terminal: a secret, so it goes nowhere else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec

from nat_traversal.errors import UsageError

SEGNO = "segno~=1.6"
"""The package of the extra ``qr``."""
BORDER = 2
"""Modules of quiet zone: half of what ISO/IEC 18004 wants, since a terminal has one of its own and little room."""


def check_qr(*, as_json: bool) -> None:
    """Refuse a code that nobody could read. Raises `UsageError`."""
    if as_json:
        raise UsageError("--qr draws for people: leave out --json, or --qr")
    if sys.stdout is None or not sys.stdout.isatty():
        raise UsageError(
            "--qr holds a secret and is for a terminal: stdout is none, so leave it out"
        )
    if find_spec("segno") is None:
        raise UsageError(f"--qr needs one more package: pip install '{SEGNO}'")


def draw_qr(text: str, say: Callable[[str], None]) -> None:
    """As `write_qr`, but that it says why it could not: the line above the code has the same in it."""
    try:
        write_qr(text)
    except UsageError as error:
        say(f"{error}; the line above does as well")


def write_qr(text: str) -> None:
    """Draw `text` on stdout, two rows of modules a line. Raises `UsageError` where that is too narrow, or takes nothing."""
    import segno  # noqa: PLC0415 - an extra

    code = segno.make_qr(text, error="l")
    width, _ = code.symbol_size(border=BORDER)
    columns = shutil.get_terminal_size().columns
    if width > columns:
        raise UsageError(
            f"the QR code is {width} columns wide and the terminal {columns}: widen it"
        )
    try:
        code.terminal(sys.stdout, border=BORDER, compact=True)
        sys.stdout.flush()
    except (OSError, ValueError):
        raise UsageError("the QR code could not be written to stdout") from None
