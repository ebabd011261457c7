"""The command `ping`: a running client pings a peer through its path, asked by its local socket."""

from __future__ import annotations

import time
from collections.abc import Mapping

from nat_traversal.cli.answers import print_lines
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.local import ask, reading, socket_of, socket_with

EVERY = 1.0
"""Seconds between two pings."""


def run(peer: str, name: str | None, count: int, environment: Mapping[str, str]) -> Exit:
    """Print each answer's time, and a summary. Raises `UsageError` if there is no such client or peer."""
    path = socket_with(peer, environment) if name is None else socket_of(name, environment)
    sent, times = 0, list[float]()
    try:
        for turn in range(count):
            if turn:
                time.sleep(EVERY)
            answer = ask(path, ask="ping", peer=peer)
            with reading(path):
                seconds = None if answer["seconds"] is None else float(answer["seconds"])
                text = "" if seconds is not None else str(answer["text"])
            sent += 1
            if seconds is None:
                print_lines(f"{peer} does not answer: {text}")
            else:
                times.append(seconds)
                print_lines(f"{peer} answered after {1000 * seconds:.1f} ms")
    except KeyboardInterrupt:
        pass
    if sent:
        print_lines(_summary(sent, times))
    return Exit.OK if times or not sent else Exit.TRAVERSAL_FAILED


def _summary(sent: int, times: list[float]) -> str:
    text = f"{sent} sent, {len(times)} answered"
    if not times:
        return text
    least, mean, most = min(times), sum(times) / len(times), max(times)
    return f"{text}, {1000 * least:.1f}/{1000 * mean:.1f}/{1000 * most:.1f} ms at least, on average, at most"
