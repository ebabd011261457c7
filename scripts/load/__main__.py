"""``python -m scripts.load``: a server's memory and processor with idle clients, and for attempts, beside another checkout's."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nat_traversal.wire.endpoint import Endpoint
from scripts.attack.server import OTHER_CORE, Server, pinned

ROOT = Path(__file__).parents[2]
BOTS = ROOT / "scripts/load/bots.py"
RESERVED = 612
"""Connections beyond these: the server keeps 512 for sources that have none."""
STEADY = 10
"""Seconds that are measured."""


class Bots:
    """The hosts, in a process of their own."""

    def __init__(self, root: Path, servers: str, *words: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(BOTS), servers, *map(str, words)],
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            preexec_fn=lambda: pinned(OTHER_CORE),  # noqa: PLW1509 - no thread of ours is in the child
        )

    def told(self) -> dict[str, Any]:
        """Their next words, a second later."""
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def until(self, registered: int) -> dict[str, Any]:
        while (told := self.told())["registered"] < registered:
            pass
        return told

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def bots(root: Path, servers: Endpoint, *words: float) -> Iterator[Bots]:
    """Some hosts."""
    made = Bots(root, str(servers), *words)
    try:
        yield made
    finally:
        made.end()


def idle(root: Path, count: int) -> str:
    """So many clients that only answer pings."""
    with (
        Server(root, "--max-connections", str(count + RESERVED)) as server,
        bots(root, server.endpoint, count // 2, 0, 10_000) as hosts,
    ):
        hosts.until(count // 100 * 99)
        for _ in range(5):
            hosts.told()
        before = server.cpu
        for _ in range(2 * STEADY):
            told = hosts.told()
        share = (server.cpu - before) / (2 * STEADY)
        return (
            f"{told['registered']:,} idle clients: {server.megabytes:.0f} MB, {share:.1%} of a core"
        )


def attempts(root: Path, pairs: int, rate: float) -> str:
    """Pairs that begin an attempt each few seconds."""
    with Server(root) as server, bots(root, server.endpoint, pairs, rate, 10_000) as hosts:
        hosts.until(2 * pairs)
        first, before = hosts.told(), server.cpu
        for _ in range(STEADY):
            last = hosts.told()
        used = server.cpu - before
        done = last["established"] - first["established"]
        took = last["at"] - first["at"]
        return (
            f"{done / took:.0f} attempts a second of {pairs} pairs: {used / done * 1e3:.2f} ms of a core each, "
            f"so {done / used:,.0f} a second of a whole one"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--beside", type=Path, help="another checkout, measured in turn with this one"
    )
    parser.add_argument("--idle", type=int, default=19_000, help="idle clients")
    parser.add_argument("--pairs", type=int, default=1000, help="pairs that attempt")
    parser.add_argument("--rate", type=float, default=200.0, help="their attempts a second")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    roots = [ROOT, *filter(None, [options.beside])]
    for _ in range(options.rounds):
        for root in roots:
            print(f"{root}: {attempts(root, options.pairs, options.rate)}", flush=True)
    for root in roots:
        print(f"{root}: {idle(root, options.idle)}", flush=True)


if __name__ == "__main__":
    main()
