"""A server and two pairs behind four NATs for a long time, with a fault every few seconds.

The clients of the second pair, and the server from a third of the time to nearly its end, are never
killed: they show whether anything grows.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import json
import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from natlab.faults.grammar import parse_action
from natlab.sandbox.netns import Command, run_together, udp_socket
from tests.soak.load import Load
from tests.soak.samples import Life, table
from tests.soak.story import LOSS, Fault, faults

if TYPE_CHECKING:
    from natlab.faults.inject import Faults
    from natlab.network.network import Network
    from natlab.programs.programs import Programs

NATS = "port-restricted-cone/full-cone/symmetric/full-cone"
PAIRS = ((1, 2), (3, 4))
PROGRAMS = 3
SAMPLE = 10.0
"""Seconds between two looks at the processes."""
OPTIONS = ("--json", "--consent", "10s", "--set", "retry-most=20s", "--set", "reconnect-most=10s")
LOCAL = "127.0.0.1"
READY_WITHIN = 30.0
LULL = 40.0
"""Seconds without faults at the end: both pairs have to carry datagrams then."""


@dataclass(slots=True)
class Result:
    """All that a soak has found."""

    seconds: float
    faults: list[tuple[float, str]] = field(default_factory=list)
    accounts: list[dict[str, object]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What must not be; empty: all is well."""
    growth: str = ""
    """The samples of the processes that lived long enough."""


class Soak:
    """What stands while it lasts."""

    def __init__(self, network: Network, programs: Programs, made: Faults, directory: Path) -> None:
        self._network = network
        self._programs = programs
        self._faults = made
        self._directory = directory
        self._lives: dict[str, Life] = {}

    def start_server(self) -> None:
        self._start("server", "server", "server", "--json")
        self._programs["server"].wait_for_line('"event": "listening"', timeout=READY_WITHIN)

    def start_pair(self, index: int, stack: ExitStack) -> Load:
        hosts = [f"host_{number}" for number in PAIRS[index]]

        def local(host: str) -> socket.socket:
            return stack.enter_context(udp_socket(self._network.pid(host), LOCAL))

        with udp_socket(self._network.pid(hosts[0]), LOCAL) as finder:
            entrance: tuple[str, int] = finder.getsockname()
        service = local(hosts[1])
        ways = (
            ("--listen", f"{LOCAL}:{entrance[1]}"),
            ("--connect", f"{LOCAL}:{service.getsockname()[1]}"),
        )
        for (host, peer), way in zip((hosts, hosts[::-1]), ways, strict=True):
            names = ("--id", host, "-r", peer)
            self._start(
                f"{host}-{peer}", host, "client", "--server", "192.0.2.2", *names, *way, *OPTIONS
            )
        return Load(index, [local(hosts[0]) for _ in range(PROGRAMS)], entrance, service).start()

    def _start(self, name: str, host: str, *words: str) -> None:
        watched = (
            sys.executable,
            "-m",
            "tests.soak.watched",
            str(self._directory / f"{name}.held"),
        )
        self._programs.start(name, [*watched, *words], self._network.pid(host))

    def sample(self) -> None:
        """Look at every process that runs now."""
        now = time.time()
        for name in ("server", *(f"host_{a}-host_{b}" for p in PAIRS for a, b in (p, p[::-1]))):
            running = self._faults.program(name)
            life = self._lives.setdefault(running.name, Life(running.name, now))
            if running.exit_status is None:
                life.sample(running.pid, now)

    def lives(self) -> list[Life]:
        """With what the processes have said themselves. Those that were restarted share a file."""
        ends = sorted(self._lives.values(), key=lambda each: each.began)
        for life in ends:
            file = self._directory / f"{life.name.removesuffix(_number(life.name))}.held"
            own = Life(life.name, life.began)
            own.add_holdings(file)
            until = life.began + life.age + SAMPLE
            life.samples += [s for s in own.samples if 0 <= s[0] <= until - life.began]
        return ends

    @contextmanager
    def loss(self) -> Iterator[None]:
        """The router loses three packets in ten, of both directions."""
        match = ("-m", "statistic", "--mode", "random", "--probability", LOSS)
        pid = self._network.pid("internet")
        for verb in ("-I", "-D"):
            words = ("iptables", "-w", verb, "FORWARD", *match, "-j", "DROP")
            run_together([Command(words, "", pid)])
            if verb == "-I":
                yield

    def strike(self, fault: Fault, lasts: float, stack: ExitStack) -> None:
        """Make it happen; `stack` ends it."""
        for words in fault.begin:
            self._faults.inject(parse_action(words))
        for words in fault.end:
            stack.callback(self._faults.inject, parse_action(words))
        if fault.lossy:
            stack.enter_context(self.loss())
        self.wait(lasts)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.sample()
            time.sleep(min(left, SAMPLE))


def _number(name: str) -> str:
    """``-2`` of a program that was started again."""
    head, dash, tail = name.rpartition("-")
    return f"{dash}{tail}" if head and tail.isdecimal() else ""


def soak(directory: Path, seconds: float, every: float, seed: int, lull: float = LULL) -> Result:
    """To be called in a sandbox. Output and counts go to `directory`."""
    from natlab.faults.inject import Faults
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    topology = import_module("topologies.star").topos["star"](peers=4, nats=NATS)
    result = Result(seconds)
    with ExitStack() as stack:
        network = stack.enter_context(standing(topology))
        programs = stack.enter_context(Programs(directory))
        made = Soak(network, programs, Faults(network, programs), directory)
        made.start_server()
        loads = [made.start_pair(index, stack) for index in range(len(PAIRS))]
        began = time.monotonic()
        following = faults(random.Random(seed))
        while (elapsed := time.monotonic() - began) < seconds - lull:
            may_kill = not seconds / 3 < elapsed < seconds * 5 / 6
            fault = following(may_kill)
            result.faults.append((round(elapsed, 1), fault.name))
            with ExitStack() as undone:
                made.strike(fault, every / 2, undone)
            made.wait(every / 2)
            _keep(directory, result)
        before = [load.account.answered for load in loads]
        made.wait(lull)
        for index, load in enumerate(loads):
            account = load.stop()
            result.wrong += account.faults
            if account.answered == before[index]:
                result.wrong.append(f"pair {index} carried nothing in the last {lull:g} s")
            result.accounts.append(
                {
                    "sent": account.sent,
                    "served": account.served,
                    "answered": account.answered,
                    "answers_by_minute": account.answers_by_minute,
                }
            )
        lives = made.lives()
        result.growth = table(lives)
        for life in lives:
            result.wrong += life.growth()
    _keep(directory, result)
    return result


def _keep(directory: Path, result: Result) -> None:
    found = {name: getattr(result, name) for name in Result.__slots__}
    with suppress(OSError):
        (directory / "soak.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
