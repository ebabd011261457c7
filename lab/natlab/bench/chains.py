"""Two hosts with a link between them, and hops that carry datagrams from a program on one to a service on the other.

    program (a) -> hop A -> veth pair -> hop B -> service (b)

The hops are two clients of this project, two socats, or a WireGuard tunnel in user space. Must run in a sandbox.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from natlab.bench.load import Carried, Load, Transfer, empty
from natlab.errors import NetworkError, ProgramError
from natlab.sandbox.netns import in_named_namespace

A, B = "bench_a", "bench_b"
"""The names of the network namespaces."""
LINK = {A: "10.9.0.1", B: "10.9.0.2"}
TUNNEL = {A: "10.10.0.1", B: "10.10.0.2"}
READY_WITHIN = 20.0
WARM = Load(rate=2_000, seconds=0.3, in_runs=False)
"""For flows to begin and the path's MTU to be found."""
WIREGUARD, DIRECT = "wireguard-go", "the link alone"
_OURS = [sys.executable, "-m", "nat_traversal"]
BUFFER = 4 << 20
"""Octets of each socket's buffers."""
_WARM = 0.5
"""The share of each flow's datagrams that has to come before a chain is called warm."""


@contextmanager
def two_hosts() -> Iterator[None]:
    """Make both namespaces and the link between them."""
    _ip(
        f"netns add {A}",
        f"netns add {B}",
        f"link add va netns {A} type veth peer name vb netns {B}",
    )
    for name, interface in ((A, "va"), (B, "vb")):
        _ip(
            f"-n {name} link set lo up",
            f"-n {name} address add {LINK[name]}/24 dev {interface}",
            f"-n {name} link set {interface} up",
        )
    try:
        yield
    finally:
        _ip(f"netns del {A}", f"netns del {B}")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a program on host A sends to, and where the service on host B is."""

    listen: int
    service: int


@dataclass(slots=True)
class Chain:
    """Carries datagrams from `sources` on host A to `sink` on host B, and back."""

    name: str
    ports: Ports
    to: tuple[str, int]
    """Where a program on host A sends to."""
    sources: list[socket.socket]
    sink: socket.socket
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def carry(self, load: Load, way: str = "there") -> Carried:
        """`way`: there, back or both at once; of both, what came in one of them and the other together.

        Raises `ProgramError` if nothing comes.
        """
        to = None if way == "there" else self._asked_from()
        transfers = []
        if way != "back":
            transfers.append(Transfer(load, self.sources, self.sink))
        if way != "there":
            transfers.append(Transfer(load, [self.sink], self.sources[0], to))
        carried = [transfer.end() for transfer in transfers]
        if not all(each.received for each in carried):
            raise ProgramError(f"{self.name}: a chain of the benchmark lets nothing through")
        if len(carried) == 1:
            return carried[0]
        one, other = carried
        return Carried(
            one.sent + other.sent,
            one.received + other.received,
            max(one.seconds, other.seconds),
            max(one.delay, other.delay),
            max(one.delay_99, other.delay_99),
            min(one.fewest, other.fewest),
        )

    @contextmanager
    def port_lent(self) -> Iterator[None]:
        """Another program may have the service's port for a while."""
        self.sink.close()
        try:
            yield
        finally:
            self.sink = _bound(B, self.ports.service)

    def processor_time(self) -> float:
        """Seconds that the hops have used."""
        return sum(_processor_time(pid) for pid in self._pids())

    def memory(self) -> int:
        """Octets in memory that the hops have for themselves (PSS)."""
        return sum(_memory(pid) for pid in self._pids())

    def close(self) -> None:
        """Close the sockets of its programs."""
        for sock in (*self.sources, self.sink):
            sock.close()

    def _pids(self) -> list[int]:
        return [pid for process in self.processes for pid in _family(process.pid)]

    def _asked_from(self) -> tuple[str, int]:
        """Where the program's datagrams come from at the service."""
        empty(self.sink)
        self.sources[0].send(bytes(64))
        if not select.select([self.sink], [], [], READY_WITHIN)[0]:
            raise ProgramError(f"{self.name} lets nothing through")
        source: tuple[str, int] = self.sink.recvfrom(2048)[1]
        return source


Hops = Callable[["Ports"], AbstractContextManager[list[subprocess.Popen[str]]]]
"""Something that carries datagrams from one port to the other."""


@contextmanager
def chain(name: str, hops: Hops, ports: Ports, flows: int = 1) -> Iterator[Chain]:
    """Start `hops` and the programs at their ends, and let the first datagrams cross."""
    with ExitStack() as stack:
        processes = stack.enter_context(hops(ports))
        to = (TUNNEL[B], ports.service) if name == WIREGUARD else ("127.0.0.1", ports.listen)
        if name == DIRECT:
            to = (LINK[B], ports.service)
        made = Chain(name, ports, to, [], _bound(B, ports.service), processes)
        stack.callback(made.close)
        for _ in range(flows):
            source = _bound(A, 0)
            made.sources.append(source)
            source.connect(to)
        deadline = time.monotonic() + READY_WITHIN
        while made.carry(replace(WARM, rate=WARM.rate * max(1, flows / 100))).fewest < _WARM:
            if time.monotonic() > deadline:
                raise ProgramError(f"{name} does not carry every flow")
        yield made


def _bound(namespace: str, port: int) -> socket.socket:
    """A socket in one of the namespaces."""
    with in_named_namespace(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    sock.bind(("0.0.0.0", port))  # noqa: S104
    return sock


# The hops


@contextmanager
def our_server() -> Iterator[None]:
    """The server that clients of all our chains meet at."""
    with started(B, [*_OURS, "server", "--json", "--quiet"]) as server:
        _event(server, "listening")
        yield


def our_hops(*options: str) -> Hops:
    """Two clients with `options`."""

    @contextmanager
    def hops(ports: Ports) -> Iterator[list[subprocess.Popen[str]]]:
        with ExitStack() as stack:
            clients = []
            for space, own, other, forwards in (
                (
                    A,
                    f"a{ports.listen}",
                    f"b{ports.listen}",
                    ("--listen", f"127.0.0.1:{ports.listen}"),
                ),
                (
                    B,
                    f"b{ports.listen}",
                    f"a{ports.listen}",
                    ("--connect", f"127.0.0.1:{ports.service}"),
                ),
            ):
                words = ["client", "--server", LINK[B], "--id", own, "-r", other, *forwards]
                command = [*_OURS, *words, *options, "--json", "--quiet"]
                clients.append(stack.enter_context(started(space, command)))
            for client in clients:
                _event(client, "path-established")
            yield clients

    return hops


def socat_hops(*, fork: bool = False) -> Hops:
    """Two socats, for one program, or with `fork` for many: then each has a process of its own."""

    @contextmanager
    def hops(ports: Ports) -> Iterator[list[subprocess.Popen[str]]]:
        between = ports.listen + 1_000
        listening = "UDP4-LISTEN:{},bind={},reuseaddr,rcvbuf={}" + (",fork" if fork else "")
        there = f"UDP4:127.0.0.1:{ports.service},rcvbuf={BUFFER}"
        here = f"UDP4:{LINK[B]}:{between},rcvbuf={BUFFER}"
        with (
            started(B, ["socat", listening.format(between, LINK[B], BUFFER), there]) as second,
            started(
                A, ["socat", listening.format(ports.listen, "127.0.0.1", BUFFER), here]
            ) as first,
        ):
            _wait_for(B, between)
            _wait_for(A, ports.listen)
            yield [first, second]

    return hops


@contextmanager
def no_hops(_: Ports) -> Iterator[list[subprocess.Popen[str]]]:
    """The link alone."""
    yield []


@contextmanager
def wireguard_hops(_: Ports) -> Iterator[list[subprocess.Popen[str]]]:
    """wireguard-go at both ends: what one would take instead to reach the service."""
    keys = {name: _said("wg", "genkey") for name in (A, B)}
    public = {name: _said("wg", "pubkey", text=key) for name, key in keys.items()}
    with ExitStack() as stack:
        processes = []
        for name, other, device in ((A, B, "wga"), (B, A, "wgb")):
            processes.append(
                stack.enter_context(started(name, ["wireguard-go", "--foreground", device]))
            )
            deadline = time.monotonic() + READY_WITHIN
            while not Path(f"/run/wireguard/{device}.sock").exists():
                if time.monotonic() > deadline:
                    raise ProgramError("wireguard-go does not start")
                time.sleep(0.02)
            peer = (
                f"peer {public[other]} endpoint {LINK[other]}:51820 allowed-ips {TUNNEL[other]}/32"
            )
            _said(
                *f"wg set {device} private-key /dev/stdin listen-port 51820 {peer}".split(),
                text=keys[name],
            )
            _ip(
                f"-n {name} address add {TUNNEL[name]}/24 dev {device}",
                f"-n {name} link set {device} up",
            )
        yield processes


def _ip(*lines: str) -> None:
    for line in lines:
        _said("ip", *line.split())


def _said(*words: str, text: str = "") -> str:
    """Run a command for its output. Raises `NetworkError` with its words if it fails."""
    try:
        done = subprocess.run(
            words, input=text, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except FileNotFoundError:
        raise ProgramError(f"{words[0]} is missing: scripts/setup.sh bench installs it") from None
    if done.returncode != 0:
        raise NetworkError(f"{words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def started(namespace: str, words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program in a namespace, until the block is left; its children end with it."""
    if shutil.which(words[0]) is None:
        raise ProgramError(f"{words[0]} is missing: scripts/setup.sh bench installs it")
    with in_named_namespace(namespace):
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            cwd="/",
        )
    try:
        yield process
    finally:
        for pid in reversed(_family(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _event(process: subprocess.Popen[str], name: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == name:
            return
    raise ProgramError(f"a program of the benchmark ended before it was ready ({name})")


def _wait_for(namespace: str, port: int) -> None:
    """Until a UDP port is bound by somebody."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        with in_named_namespace(namespace):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with closing(probe):
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104
            except OSError:
                return
        time.sleep(0.01)
    raise ProgramError(f"socat does not listen on port {port}")


def _family(pid: int) -> list[int]:
    """A process and what it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(int(child)))]


def _processor_time(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
