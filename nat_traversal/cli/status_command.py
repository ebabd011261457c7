"""The command `status`: how the clients of this user are, asked of each by its local socket."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.local import ask, socket_of, sockets
from nat_traversal.errors import UsageError


def run(
    name: str | None, environment: Mapping[str, str], console: Console, *, as_json: bool
) -> Exit:
    """Print the answer of the client `name`, or of each. Raises `UsageError` if there is none."""
    paths = [socket_of(name, environment)] if name is not None else list(sockets(environment))
    if not paths:
        paths = [socket_of(None, environment)]
    answers: list[dict[str, Any]] = []
    for path in paths:
        try:
            answers.append(ask(path, ask="status"))
        except UsageError as error:
            if len(paths) == 1:
                raise
            console.fail(str(error))
    for answer in answers:
        lines = [json.dumps(answer)] if as_json else [each["text"] for each in answer["peers"]]
        sys.stdout.writelines(f"{line}\n" for line in lines)
    return Exit.OK if answers else Exit.USAGE
