"""``python -m scripts.load.cluster``: three servers and a Redis in namespaces of their own, under attempts without a pause.

One server is killed and comes back, then the store. It also tells what an attempt costs with one server, two and three.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natlab.programs.program import Program
from natlab.sandbox.netns import Command, run_together
from natlab.sandbox.sandbox import call
from scripts.load.__main__ import BOTS, ROOT

if TYPE_CHECKING:
    from natlab.network.network import Network
    from natlab.programs.programs import Programs

SERVERS, STORE, HOSTS = ("host_1", "host_2", "host_3"), "host_4", "host_5"
WITHIN = 60.0
ENOUGH = 0.99
"""Share of the hosts that has to be registered before an experiment goes on."""


@dataclass(slots=True)
class Cluster:
    """Servers, their store, and the hosts, each on a node of its own."""

    network: Network
    programs: Programs
    count: int
    """Of servers."""
    starts: int = 0

    def _start(self, name: str, node: str, *argv: str) -> Program:
        self.starts += 1
        return self.programs.start(f"{name}-{self.starts}", argv, self.network.pid(node))

    def store(self) -> Program:
        redis = shutil.which("redis-server") or "redis-server"
        options = ("--save", "", "--appendonly", "no", "--protected-mode", "no", "--port", "6379")
        program = self._start("store", STORE, redis, *options)
        program.wait_for_line("Ready to accept connections", timeout=WITHIN)
        return program

    def server(self, node: str) -> Program:
        store = () if self.count == 1 else ("--store", f"redis://{self.network.address(STORE)}")
        command = (sys.executable, str(ROOT / "traversal_server.py"), "--json", *store)
        program = self._start("server", node, *command)
        program.wait_for_line("store-reached" if store else "listening", timeout=WITHIN)
        return program

    def hosts(self, pairs: int, rate: float) -> Hosts:
        servers = ",".join(f"{self.network.address(node)}:6545" for node in SERVERS[: self.count])
        own = self.network.address(HOSTS).rpartition(".")[0]
        (interface,) = self.network.addresses(HOSTS)
        more = "".join(
            f"address add {own}.{number}/24 dev {interface}\n" for number in range(10, 250)
        )
        run_together([Command(("ip", "-batch", "-"), more, self.network.pid(HOSTS))])
        words = (servers, str(pairs), str(rate), "10000", own)
        program = self._start("hosts", HOSTS, sys.executable, str(BOTS), *words)
        return Hosts(program, 2 * pairs)


@dataclass(slots=True)
class Hosts:
    """The hosts' words, second by second."""

    program: Program
    count: int
    read: int = 0

    def told(self) -> dict[str, Any]:
        """The next second's numbers."""
        at = self.read
        self.program.wait_until(
            lambda: len(self.program.lines("stdout")) > at, "a second's numbers", timeout=WITHIN
        )
        self.read += 1
        told: dict[str, Any] = json.loads(self.program.lines("stdout")[at].text)
        return told

    def settled(self) -> None:
        """Until nearly all are registered."""
        while self.told()["registered"] < ENOUGH * self.count:
            pass

    def phase(self, name: str, seconds: int) -> None:
        """The events of some seconds, in a line."""
        first = last = self.told()
        least, back = first["registered"], 0
        for second in range(1, seconds + 1):
            last = self.told()
            least = min(least, last["registered"])
            if last["registered"] < ENOUGH * self.count:
                back = second + 1
        took = last["at"] - first["at"]
        names = sorted({*first, *last} - {"at", "connected", "registered", "left out"})
        did = {each: last.get(each, 0) - first.get(each, 0) for each in names}
        rate = did.pop("established") / took
        rest = ", ".join(f"{value} {each}" for each, value in did.items() if value)
        print(
            f"{name}: {rate:.0f} attempts a second connected ({rest}); at least {least} of {self.count} hosts "
            f"registered, {ENOUGH:.0%} of them after {back} s; {last['left out']} pairs left out at the end",
            flush=True,
        )


def cpu(*programs: Program) -> float:
    """Seconds of a processor that these have used."""
    sums = 0
    for program in programs:
        stat = Path(f"/proc/{program.pid}/stat").read_text(encoding="ascii")
        fields = stat.rsplit(")", 1)[1].split()
        sums += int(fields[11]) + int(fields[12])
    return sums / os.sysconf("SC_CLK_TCK")


@contextmanager
def cluster(count: int) -> Iterator[Cluster]:
    """The nodes, with nothing on them."""
    from natlab.network.network import standing  # noqa: PLC0415 - only in a sandbox
    from natlab.programs.programs import Programs  # noqa: PLC0415
    from natlab.topologies.star import Star  # noqa: PLC0415

    with (
        tempfile.TemporaryDirectory() as directory,
        standing(Star(peers=5, nats="none")) as network,
        Programs(Path(directory)) as programs,
    ):
        yield Cluster(network, programs, count)


def killed(pairs: int, rate: float, seconds: int) -> None:
    """A server, then the store, is killed and comes back."""
    with cluster(3) as made:
        store = made.store()
        servers = [made.server(node) for node in SERVERS]
        hosts = made.hosts(pairs, rate)
        hosts.settled()
        hosts.phase("all three", seconds)
        servers[2].signal(9)
        hosts.phase("one server killed", 2 * seconds)
        made.server(SERVERS[2])
        hosts.phase("that server back", seconds)
        store.signal(9)
        hosts.phase("the store killed", seconds)
        made.store()
        hosts.phase("an empty store back", 2 * seconds)


def costs(count: int, pairs: int, rate: float, seconds: int) -> None:
    """The cost of an attempt with so many servers, whose hosts are at neighbouring ones."""
    with cluster(count) as made:
        store = [made.store()] if count > 1 else []
        servers = [made.server(node) for node in SERVERS[:count]]
        hosts = made.hosts(pairs, rate)
        hosts.settled()
        first, before, at_store = hosts.told(), cpu(*servers), cpu(*store)
        for _ in range(seconds):
            last = hosts.told()
        done = last["established"] - first["established"]
        used, stored = cpu(*servers) - before, cpu(*store) - at_store
        print(
            f"{count} servers: {done / (last['at'] - first['at']):.0f} attempts a second, "
            f"{used / done * 1e3:.2f} ms of the servers' processors each, {stored / done * 1e3:.2f} ms of the "
            f"store's: with a core each, {count * done / used:,.0f} a second",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200.0, help="attempts a second")
    parser.add_argument("--seconds", type=int, default=10, help="of each phase")
    parser.add_argument("--only", choices=("killed", "costs"))
    options = parser.parse_args()
    if options.only != "costs":
        call(600.0, killed, options.pairs, options.rate, options.seconds)
    if options.only != "killed":
        for count in (1, 2, 3):
            call(600.0, costs, count, options.pairs // 2, options.rate / 2, options.seconds)


if __name__ == "__main__":
    # A sandbox imports what it calls by its name.
    importlib.import_module("scripts.load.cluster").main()
