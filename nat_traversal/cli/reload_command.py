"""The command `reload`: a running client reads its file anew, asked by its local socket."""

from __future__ import annotations

from collections.abc import Mapping

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.local import ask, reading, socket_of
from nat_traversal.errors import ConfigError


def run(name: str | None, environment: Mapping[str, str], console: Console) -> Exit:
    """Ask the client `name`, or the only one. Raises `UsageError`; `ConfigError` has all mistakes of the file."""
    path = socket_of(name, environment, with_file=True)
    answer = ask(path, ask="reload")
    with reading(path):
        mistakes = [str(each) for each in answer.get("mistakes", ())]
        text = "" if mistakes else str(answer["text"])
    if mistakes:
        raise ConfigError(mistakes)
    console.say(text)
    return Exit.OK
