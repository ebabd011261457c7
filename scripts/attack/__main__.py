"""``python -m scripts.attack``: every attack in turn, and the table."""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from nat_traversal.wire.endpoint import Endpoint
from scripts.attack.attacks import ATTACKS, SOURCES, WITH_TLS, Target, sources
from scripts.attack.server import OTHER_CORE, Server, pinned
from scripts.attack.swarm import Tally

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Measured:
    """The pairs under one attack."""

    median: float
    worst: float
    failed: int


class Pair:
    """The process with the legitimate pair."""

    def __init__(self, server: Server) -> None:
        at = (server.endpoint.address, str(server.endpoint.port), server.fingerprint)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.attack.pair", *at],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: pinned(None),  # noqa: PLW1509
        )

    def measure(self, count: int) -> Measured:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        times: list[float | None] = json.loads(self._process.stdout.readline())
        known = sorted(each if each is not None else float("inf") for each in times)
        return Measured(statistics.median_high(known), known[-1], times.count(None))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Attacker:
    """The attack's process, at work."""

    def __init__(self, name: str, which: str, server: Endpoint) -> None:
        words = ("--attacker", name, "--from", which, "--at", str(server))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.attack", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: pinned(OTHER_CORE),  # noqa: PLW1509
        )
        self._began = self._tally()

    def _tally(self) -> dict[str, float]:
        assert self._process.stdout is not None
        told: dict[str, float] = json.loads(self._process.stdout.readline())
        return told

    def end(self) -> str:
        """End it, and tell in words how much it did a second."""
        self._process.terminate()
        ended = self._tally()
        self._process.wait()
        took = ended["at"] - self._began["at"]
        done = {each: (ended[each] - self._began[each]) / took for each in ended if each != "at"}
        return ", ".join(f"{rate:,.0f} {each}" for each, rate in done.items() if rate >= 1)


def attacker(name: str, which: str, at: str) -> None:
    """The attack itself. It says what it has done when it is at work, and when it is ended."""
    address, port = at.rsplit(":", 1)
    tally = Tally()

    def tell() -> None:
        print(json.dumps(asdict(tally) | {"at": time.monotonic()}), flush=True)

    target = Target(Endpoint(address, int(port)), sources(which), tell, tally)

    def end(*_: object) -> NoReturn:
        tell()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    for pause in ATTACKS[name][1](target):
        if pause:
            time.sleep(pause)


def table(names: list[str], kinds: list[str], count: int, root: Path, words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as state:
        quiet: dict[bool, float] = {}
        for name in names:
            tls = name in WITH_TLS
            options = [*words, *(("--tls", "--state", state) if tls else ())]
            if tls not in quiet:
                quiet[tls] = undisturbed(root, options, count, "with TLS" if tls else "in clear")
            for which in kinds:
                attacked(name, which, root, options, count=count, quiet=quiet[tls])


def undisturbed(root: Path, words: list[str], count: int, what: str) -> float:
    """The median of pairs without an attack."""
    with Server(root, *words) as server:
        pair = Pair(server)
        pair.measure(3)
        quiet = pair.measure(count)
        pair.close()
    print(
        f"quiet, {what}: median {quiet.median * 1e3:.0f} ms, worst {quiet.worst * 1e3:.0f} ms",
        flush=True,
    )
    return quiet.median


def attacked(
    name: str, which: str, root: Path, words: list[str], *, count: int, quiet: float
) -> None:
    """One line of the table."""
    with Server(root, *words) as server:
        pair = Pair(server)
        pair.measure(1)
        attack = Attacker(name, which, server.endpoint)
        before = server.cpu
        got = pair.measure(count)
        used = server.cpu - before
        did = attack.end()
        pair.close()
        print(
            f"| {ATTACKS[name][0]} | {which} | {got.median / quiet:.2f} | {got.worst / quiet:.2f} "
            f"| {got.failed} | {server.megabytes:.0f} MB | {used:.1f} s | {server.said // 1024} kB | {did} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(ATTACKS), help="these attacks (default: all)"
    )
    parser.add_argument(
        "--from", dest="sources", choices=list(SOURCES), help="one address, or many (default: both)"
    )
    parser.add_argument("--pairs", type=int, default=15, help="pairs timed under each attack")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="another checkout, whose server is attacked"
    )
    parser.add_argument("--set", action="append", default=[], help="a setting of the server")
    parser.add_argument("--attacker", help=argparse.SUPPRESS)
    parser.add_argument("--at", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attacker:
        attacker(options.attacker, options.sources, options.at)
        return
    words = [word for each in options.set for word in ("--set", each)]
    kinds = [options.sources] if options.sources else list(SOURCES)
    table(options.only or list(ATTACKS), kinds, options.pairs, options.root, words)


if __name__ == "__main__":
    main()
