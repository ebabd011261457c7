"""A command as a user writes it: split into words, with the lab's variables filled in."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence

from nat_traversal.errors import UsageError
from natlab.errors import ProgramError
from natlab.sandbox.machine import search_path

Command = str | Sequence[str]
"""A command line or its words. `command_words` says what becomes of it."""


def command_words(command: Command, variables: Mapping[str, str] | None = None) -> list[str]:
    """The words of `command`, split as a shell would, and with `variables` ``$LAB_...`` filled in.

    No shell is started: pipes and the like need ``sh -c '...'``. Words given one by one are taken as
    they are. Raises `UsageError` if there are none, a quote is open, or a variable is not there.
    """
    if isinstance(command, str):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"cannot read the command {command!r}: {error}") from None
        if variables is not None:
            words = [fill(word, variables) for word in words]
    else:
        words = list(command)
    if not words:
        raise UsageError("an empty command: name a program")
    return words


def fill(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its ``$LAB_...`` filled in. Raises `UsageError` for one that is not there."""
    return _VARIABLE.sub(lambda found: _value(found, variables), text)


_VARIABLE = re.compile(r"\$(?:\{(LAB_\w+)\}|(LAB_\w+))")


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name = found[1] or found[2]
    if name not in variables:
        raise UsageError(f"there is no ${name} here: there are {', '.join(sorted(variables))}")
    return variables[name]


def require_program(words: Sequence[str], whose: str) -> None:
    """Raises `ProgramError` if the program that `words` begin with is not here."""
    if shutil.which(words[0], path=search_path()) is None:
        raise ProgramError(f"{whose}: there is no program {words[0]} here; install it")
