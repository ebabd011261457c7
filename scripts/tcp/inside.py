"""The network: two NATs, both ways to carry TCP between their hosts, and the uses in turn. Runs in a sandbox."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natlab.errors import ProgramError
from natlab.links.conditions import LinkConditions
from scripts.tcp import uses

if TYPE_CHECKING:
    from natlab.testbed.bed import Bed

NATS = "two_nats,nat_a=port-restricted-cone,nat_b=port-restricted-cone"
OURS, WIREGUARD = "TCP service", "wireguard-go"
WAYS = {OURS: "127.0.0.1", WIREGUARD: "10.99.0.2"}
"""Where programs at host_a find the services of host_b."""
SERVER = "192.0.2.2"
QUIET = {"lo": "server"}
"""Nothing passes there: what is measured is captured nowhere."""
_PORT = 51820
_READY = 30.0
_TWICE = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """A run. `octets`: of the file; `sshd`: where it is, if anywhere; `rounds`: of each use and way."""

    links: LinkConditions
    octets: int
    chosen: tuple[str, ...]
    sshd: str | None
    rounds: int
    unread: int | None
    """If given: nothing but the memory of so many connections that nobody reads."""


def measure(asked: Asked, directory: Path) -> list[tuple[str, str, list[str]]]:
    """Of each use and way: what each round said."""
    from natlab.network.loading import load
    from natlab.testbed.bed import bed

    with (
        bed(load(NATS), directory, lambda _: QUIET, asked.links) as lab,
        uses.services(lab.network.pid("host_b"), directory, asked.octets, asked.sshd),
        _clients(lab) as clients,
        _wireguard(lab, directory),
    ):
        near, far = lab.network.pid("host_a"), lab.network.pid("host_b")
        known: dict[str, Callable[[str], str]] = {
            "iperf3, one connection": lambda to: uses.iperf(near, far, to),
            "iperf3, back": lambda to: uses.iperf(near, far, to, "--reverse"),
            "iperf3, eight connections": lambda to: uses.iperf(near, far, to, "--parallel", "8"),
            "beside CUBIC": lambda to: uses.beside(
                near,
                (far, to),
                (lab.network.pid("server"), SERVER),
                "" if to == WAYS[OURS] else "bbr",
            ),
            "curl": lambda to: uses.curl(near, to, directory),
            "ssh, there and back": lambda to: uses.ssh(near, to, directory),
            "crowd, of 1,000": lambda to: uses.crowd(near, to, 1_000),
        }
        if asked.unread is not None:
            told = uses.unread(near, WAYS[OURS], asked.unread, lambda: _sizes(clients))
            return [(f"{asked.unread} connections that nobody reads", "listens, connects", [told])]
        found = []
        for use in (name for name in known if name.split(",")[0] in asked.chosen):
            said: dict[str, list[str]] = {way: [] for way in WAYS}
            for _ in range(asked.rounds):
                for way, to in WAYS.items():
                    before = _cpu(clients)
                    said[way].append(known[use](to))
                    if way == OURS:
                        said[way][-1] += f" ({_cpu(clients) - before:.1f} s of processor)"
                    print(f"{use}, {way}: {said[way][-1]}", file=sys.stderr, flush=True)
            found += [(use, way, rounds) for way, rounds in said.items()]
        return found


@contextmanager
def _clients(lab: Bed) -> Iterator[list[int]]:
    """The two clients of a TCP service for each of the uses."""
    ours = [sys.executable, "-m", "nat_traversal"]
    network, programs = lab.network, lab.programs
    server = programs.start("server", [*ours, "server", "--json"], network.pid("server"))
    server.wait_for_line('"event": "listening"', timeout=_READY)
    made = []
    for host, other, word in (
        ("host_a", "host_b", "{0}:listen=tcp:{1}"),
        ("host_b", "host_a", "{0}:connect=tcp:127.0.0.1:{1}"),
    ):
        words = ["client", "--server", SERVER, "--id", host, "-r", other, "--json"]
        for port in (uses.IPERF, uses.WEB, uses.SSH, uses.CROWD, uses.WRITER):
            words += ["--service", word.format(f"s{port}", port)]
        made.append(programs.start(host, [*ours, *words], network.pid(host)))
    for client in made:
        client.wait_for_line('"event": "services-ready"', timeout=_READY)
    yield [client.pid for client in made]


@contextmanager
def _wireguard(lab: Bed, directory: Path) -> Iterator[None]:
    """wireguard-go at both hosts. Each knows the other's NAT, and both call."""
    network = lab.network
    hosts = ("a", "b")
    keys = {x: subprocess.check_output(["wg", "genkey"]) for x in hosts}
    public = {x: subprocess.check_output(["wg", "pubkey"], input=keys[x]).decode() for x in hosts}
    with ExitStack() as stack:
        for number, (x, other) in enumerate((("a", "b"), ("b", "a")), 1):
            node, device = network.pid(f"host_{x}"), f"wg_{x}"
            stack.enter_context(uses.started(node, ["wireguard-go", "--foreground", device]))
            _until(Path(f"/run/wireguard/{device}.sock").exists, "wireguard-go does not start")
            key = directory / f"{device}.key"
            key.write_bytes(keys[x])
            wan = network.nat(f"nat_{other}").ports.wan_address
            peer = ["peer", public[other].strip(), "allowed-ips", f"10.99.0.{3 - number}/32"]
            peer += ["endpoint", f"{wan}:{_PORT}", "persistent-keepalive", "1"]
            for words in (
                ["wg", "set", device, "private-key", f"{key}", "listen-port", f"{_PORT}", *peer],
                ["ip", "address", "add", f"10.99.0.{number}/24", "dev", device],
                ["ip", "link", "set", device, "up"],
            ):
                uses.run(node, words)
        near = network.pid("host_a")
        _until(lambda: _answers(near), "wireguard-go carries nothing")
        yield


def _answers(near: int) -> bool:
    try:
        uses.run(near, ["ping", "-c", "1", "-W", "1", WAYS[WIREGUARD]])
    except ProgramError:
        return False
    return True


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _READY
    while not condition():
        if time.monotonic() > deadline:
            raise ProgramError(what)
        time.sleep(0.05)


def _sizes(pids: Sequence[int]) -> list[int]:
    """Octets in memory of each (RSS)."""
    return [4096 * int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) for pid in pids]


def _cpu(pids: Sequence[int]) -> float:
    """Seconds of processor time that both clients have taken."""
    ticks = 0
    for pid in pids:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / 100
