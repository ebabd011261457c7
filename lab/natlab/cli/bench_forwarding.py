"""`make bench`: forwarding 1200-octet datagrams through two clients, beside two socats, on loopback.

A program sends to hop one, that to hop two, that to a sink. The sink tells the program how much has
come. The program keeps a window of datagrams on the way, so that nothing is lost and the slowest part
sets the pace. The two chains run in turn, and each pair of runs gives a ratio.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from rich.table import Table

from natlab.errors import ProgramError

PAYLOAD = 1200
"""Octets of a datagram: what QUIC and WireGuard dare to send everywhere."""
WINDOW = 64
"""Datagrams on the way."""
READY_WITHIN = 15.0
STALLED_AFTER = 2.0
"""Seconds without a datagram after which the window counts as lost."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Datagrams a second through each chain, pair by pair."""

    ours: tuple[float, ...]
    socat: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of ours over socat's."""
        return statistics.median(a / b for a, b in zip(self.ours, self.socat, strict=True))


def measure_forwarding(datagrams: int = 60_000, pairs: int = 5) -> Rates:
    """Run both chains `pairs` times in turn. Raises `ProgramError` if one of them does not work."""
    ours: list[float] = []
    socat: list[float] = []
    with ExitStack() as stack:
        us, them = (stack.enter_context(_chain(hops)) for hops in (_our_hops, _socat_hops))
        for chain in (us, them):
            chain.transfer(1000)  # warm: flows made, caches filled
        for _ in range(pairs):
            ours.append(us.transfer(datagrams))
            socat.append(them.transfer(datagrams))
    return Rates(tuple(ours), tuple(socat))


def forwarding_table(rates: Rates) -> Table:
    """The rates as a table for people."""
    table = Table(title=f"Forwarding {PAYLOAD}-octet datagrams over two hops, datagrams a second")
    for heading in ("chain", "min", "median", "max"):
        table.add_column(heading, justify="left" if heading == "chain" else "right")
    for name, values in (("nat_traversal", rates.ours), ("socat", rates.socat)):
        row = (min(values), statistics.median(values), max(values))
        table.add_row(name, *(f"{value:,.0f}" for value in row))
    table.add_row("ratio, pair by pair", "", f"{rates.ratio:.2f}", "")
    return table


@dataclass(frozen=True, slots=True)
class _Chain:
    """A program's socket at one end, the sink's at the other, two hops between them."""

    source: socket.socket
    sink: socket.socket

    def transfer(self, datagrams: int) -> float:
        """Send so many; how many a second came out."""
        payload = bytes(PAYLOAD)
        sent = received = 0
        buffer = bytearray(2048)
        started = time.monotonic()
        while received < datagrams:
            while sent - received < WINDOW:
                self.source.send(payload)
                sent += 1
            if not select.select([self.sink], [], [], STALLED_AFTER)[0]:
                if received == 0:
                    raise ProgramError("a chain of the benchmark lets nothing through")
                sent = received  # all that was on the way is lost: fill the window again
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.sink.recv_into(buffer)
                    received += 1
        return received / (time.monotonic() - started)


@contextmanager
def _chain(hops: Callable[[int], AbstractContextManager[int]]) -> Iterator[_Chain]:
    """`hops` takes the sink's port and gives the port to send to."""
    with (
        contextlib.closing(_udp()) as source,
        contextlib.closing(_udp()) as sink,
        hops(sink.getsockname()[1]) as port,
    ):
        source.connect(("127.0.0.1", port))
        yield _Chain(source, sink)


@contextmanager
def _our_hops(target: int) -> Iterator[int]:
    """A server and two clients; the port of the listening one."""
    with ExitStack() as stack:
        server = stack.enter_context(_program(["server", "--host", "127.0.0.1", "--port", "0"]))
        endpoint = _event(server, "listening")["endpoint"]
        listen = _free_port()
        common = ["client", "--server", endpoint]
        a = [*common, "--id", "a", "-r", "b", "--listen", str(listen)]
        b = [*common, "--id", "b", "-r", "a", "--connect", f"127.0.0.1:{target}"]
        clients = [stack.enter_context(_program(arguments)) for arguments in (a, b)]
        for client in clients:
            _event(client, "path-established")
        yield listen


@contextmanager
def _socat_hops(target: int) -> Iterator[int]:
    """Two socats that do the same hops, for one sender; the port of the first."""
    second, first = _free_port(), _free_port()
    with ExitStack() as stack:
        for listen, to in ((second, target), (first, second)):
            arguments = [
                "socat",
                f"UDP4-LISTEN:{listen},bind=127.0.0.1",
                f"UDP4:127.0.0.1:{to}",
            ]
            try:
                process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
            except FileNotFoundError:
                raise ProgramError("socat is missing: sudo apt-get install socat") from None
            stack.callback(_end, process)
            _wait_for_listener(listen)
        yield first


@contextmanager
def _program(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "nat_traversal", *arguments, "--json", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace")
    try:
        yield process
    finally:
        _end(process)


def _event(process: subprocess.Popen[str], name: str) -> dict[str, str]:
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, str] = json.loads(line)
        if event["event"] == name:
            return event
    raise ProgramError(f"a program of the benchmark ended before it was ready ({name})")


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _wait_for_listener(port: int) -> None:
    """Until the kernel lists the UDP port: bound by somebody."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.closing(probe):
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.01)
    raise ProgramError(f"socat does not listen on port {port}")


def _udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def _free_port() -> int:
    with contextlib.closing(_udp()) as sock:
        port: int = sock.getsockname()[1]
        return port
