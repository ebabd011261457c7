"""The commands that make keys: `genkey` a shared one, `identity` one for a host, `gentoken` one for a server's clients."""

from __future__ import annotations

import os
import random
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.keys import read_secret
from nat_traversal.cli.state import state_directory, write_once
from nat_traversal.crypto import NEEDS_PACKAGE
from nat_traversal.crypto.keyfile import IDENTITY, PUBLIC, SHARED, as_text
from nat_traversal.errors import UsageError

KEY_OCTETS = 32
FILE = "identity"
"""The name of the private key's file, unless another is given."""


def genkey(console: Console, kind: str = SHARED) -> Exit:
    """Print a new key of that kind: one line on stdout. Raises `UsageError` if it cannot be written."""
    write_line(as_text(kind, random.SystemRandom().randbytes(KEY_OCTETS)))
    if _others_can_read_stdout():
        console.say(
            "others can read the file that this key went to: chmod 600 it before you use it"
        )
    return Exit.OK


def identity(console: Console, file: str | None) -> Exit:
    """Make a host's private key, if there is none yet, and print the public half.

    Raises `UsageError` if it cannot be made or read.
    """
    path, public, is_new = _kept(file, os.environ)
    how = f"made {path}, for --identity on this host" if is_new else f"{path} is there already"
    console.say(f"{how}; this goes to the others, for --peer-key:")
    write_line(as_text(PUBLIC, public))
    return Exit.OK


def kept_identity(file: str | None, environment: Mapping[str, str]) -> tuple[str, bytes]:
    """The file of this host's identity, made if it is not there, and its public half. Raises `UsageError`."""
    path, public, _ = _kept(file, environment)
    return str(path), public


def _kept(file: str | None, environment: Mapping[str, str]) -> tuple[Path, bytes, bool]:
    path = _path(file, environment)
    try:
        from nat_traversal.crypto.dh import KeyPair  # noqa: PLC0415 - needs a package
    except ImportError:
        raise UsageError(NEEDS_PACKAGE) from None
    private = random.SystemRandom().randbytes(KEY_OCTETS)
    is_new = write_once(path, as_text(IDENTITY, private).encode() + b"\n")
    if not is_new:
        private = read_secret(IDENTITY, str(path), environment)
    return path, KeyPair(private).public, is_new


def _path(given: str | None, environment: Mapping[str, str]) -> Path:
    return Path(given) if given else state_directory(environment) / FILE


def write_line(line: str) -> None:
    """One line on stdout, at once. Raises `UsageError` where nobody can read it."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):  # there is none, or it takes nothing
        # Python would try again at its end, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise UsageError("it could not be written: stdout takes nothing") from None


def _others_can_read_stdout() -> bool:
    mode = os.fstat(sys.stdout.fileno()).st_mode
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
