"""The command `check`, from its options to its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from nat_traversal.aio.checking import check_nat
from nat_traversal.check.rungs import rows
from nat_traversal.check.verdict import Verdict
from nat_traversal.cli.check_words import report
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.stop import stop_signal
from nat_traversal.errors import NameUnresolvedError, ServerUnreachableError
from nat_traversal.wire.endpoint import HostPort


async def run(server: HostPort | None, lifetime: float, console: Console) -> Exit:
    """Check, and print the report on stdout."""
    stop = stop_signal(console)
    checking = asyncio.ensure_future(check_nat(server, lifetime=lifetime))
    try:
        both: set[asyncio.Future[Any]] = {checking, stop}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not checking.done():
            console.say("stopped: nothing is told")
            return stop.result()
        verdict = checking.result()
    except (NameUnresolvedError, ServerUnreachableError) as error:
        console.fail(str(error))
        return Exit.SERVER_UNREACHABLE
    finally:
        checking.cancel()
        with contextlib.suppress(BaseException):
            await checking
    if verdict.server is not None and verdict.udp is None:
        console.fail(verdict.not_told["udp"])
        return Exit.SERVER_UNREACHABLE
    return _print(_lines(verdict, as_json=console.as_json))


def _lines(verdict: Verdict, *, as_json: bool) -> list[str]:
    if not as_json:
        return report(verdict)
    peers = [asdict(row) for row in rows(verdict)] if verdict.server is not None else []
    return [json.dumps({"event": "check", **verdict.as_json(), "peers": peers})]


def _print(lines: list[str]) -> Exit:
    try:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):  # there is none, or it takes nothing
        # Python would try again at its end, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.OUTPUT_CLOSED
    return Exit.OK
