"""``python -m scripts.attack``: every attack in turn, and the table."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from nat_traversal.wire.endpoint import Endpoint
from scripts.attack.attacks import ATTACKS, SOURCES, Target, sources

ROOT = Path(__file__).parents[2]
SERVER_CORE, OTHER_CORE = 0, 1


def pinned(core: int, nice: int = 0) -> None:
    """In a child: one core, room for many connections. Below 0 it comes before all others there, if it may."""
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})
    if nice >= 0:
        os.nice(nice)
    else:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """The command `server` on a core of its own. Use it as a context manager."""

    def __init__(self, root: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(root / "traversal_server.py"),
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                *words,
            ],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: pinned(SERVER_CORE),  # noqa: PLW1509 - no thread runs yet
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(rb"listening on 127\.0\.0\.1:(\d+)", line):
                self.endpoint = Endpoint("127.0.0.1", int(found[1]))
                break
        self.said = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 65_536):
            self.said += len(data)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0

    @property
    def cpu(self) -> float:
        """Seconds of processor that it has used."""
        fields = (
            Path(f"/proc/{self.process.pid}/stat")
            .read_text(encoding="utf-8")
            .rsplit(")", 1)[1]
            .split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """The pairs under one attack."""

    median: float
    worst: float
    failed: int


class Pair:
    """The process with the legitimate pair."""

    def __init__(self, server: Endpoint, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.attack.pair", server.address, str(server.port)],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: pinned(OTHER_CORE, -1),  # noqa: PLW1509
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


def attacking(name: str, which: str, server: Endpoint) -> subprocess.Popen[str]:
    """The attack's process, once it is at work."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "scripts.attack",
            "--attacker",
            name,
            "--from",
            which,
            "--at",
            str(server),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: pinned(OTHER_CORE, 19),  # noqa: PLW1509
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def attacker(name: str, which: str, at: str) -> None:
    """The attack itself."""
    address, port = at.rsplit(":", 1)
    ATTACKS[name][1](
        Target(Endpoint(address, int(port)), sources(which), lambda: print("ready", flush=True))
    )


def table(names: list[str], kinds: list[str], count: int, root: Path, words: list[str]) -> None:
    with Server(root, *words) as server:
        pair = Pair(server.endpoint, root)
        pair.measure(3)
        quiet = pair.measure(count)
        pair.close()
    print(
        f"quiet: median {quiet.median * 1e3:.0f} ms, worst {quiet.worst * 1e3:.0f} ms", flush=True
    )
    for name in names:
        for which in kinds:
            with Server(root, *words) as server:
                pair = Pair(server.endpoint, root)
                pair.measure(1)
                attack = attacking(name, which, server.endpoint)
                try:
                    before = server.cpu
                    got = pair.measure(count)
                    used = server.cpu - before
                finally:
                    attack.kill()
                    attack.wait()
                    pair.close()
                print(
                    f"| {ATTACKS[name][0]} | {which} | {got.median / quiet.median:.2f} "
                    f"| {got.worst / quiet.median:.2f} | {got.failed} | {server.megabytes:.0f} MB | {used:.1f} s | {server.said // 1024} kB |",
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
