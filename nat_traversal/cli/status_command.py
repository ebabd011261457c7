"""The command `status`: how the clients of this user are, asked of each by its local socket."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from nat_traversal.cli.answers import print_lines
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.local import ask, reading, socket_of, sockets
from nat_traversal.cli.peers.report_words import lines_of
from nat_traversal.errors import UsageError

EVERY = 1.0
"""Seconds between two looks of ``--watch``."""
_CLEAR = "\x1b[H\x1b[J"


def run(
    name: str | None,
    environment: Mapping[str, str],
    console: Console,
    *,
    as_json: bool,
    watch: bool = False,
) -> Exit:
    """Print the answer of the client `name`, or of each. Raises `UsageError` if there is none."""
    try:
        while True:
            answers = _answers(name, environment, console, as_json=as_json)
            lines: list[str] = []
            for client, told in answers:
                lines += [f"{client}:"] * (len(answers) > 1 and not as_json)
                lines += told
            clears = watch and not as_json and sys.stdout is not None and sys.stdout.isatty()
            print_lines(*lines, first=_CLEAR if clears else "")
            if not watch:
                return Exit.OK if answers else Exit.USAGE
            time.sleep(EVERY)
    except KeyboardInterrupt:
        return Exit.OK


def _answers(
    name: str | None, environment: Mapping[str, str], console: Console, *, as_json: bool
) -> list[tuple[str, list[str]]]:
    """The name and the lines of each client that answers."""
    paths = [socket_of(name, environment)] if name is not None else list(sockets(environment))
    if not paths:
        paths = [socket_of(None, environment)]
    answers: list[tuple[str, list[str]]] = []
    for path in paths:
        try:
            answer = ask(path, ask="status")
            with reading(path):
                lines = [json.dumps(answer)] if as_json else _lines(answer["peers"])
                answers.append((str(answer["name"]), lines))
        except UsageError as error:
            if len(paths) == 1:
                raise
            console.fail(str(error))
    return answers


def _lines(peers: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for peer in peers:
        first, *further = lines_of(peer)
        lines += [first, *(f"  {line}" for line in further)]
    return lines
