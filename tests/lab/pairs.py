"""The reference server and clients in any topology, and datagrams through their tunnels."""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from natlab.programs.programs import Programs
from natlab.sandbox.netns import udp_socket
from natlab.sandbox.zygote import Prepared
from tests.lab.streams import Stream

if TYPE_CHECKING:
    from natlab.network.network import Network
    from natlab.programs.program import Program

READY_WITHIN = 20.0
PYTHON = (sys.executable, "-m", "nat_traversal")
LOCAL = "127.0.0.1"
NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


_spares: list[Prepared] = []
"""Processes that can become a server or a client at once. They end with the call of the sandbox that made them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two hosts that want each other. `first` takes a program's datagrams, `second` has the service."""

    first: str
    second: str

    @property
    def clients(self) -> tuple[str, str]:
        return f"{self.first}-{self.second}", f"{self.second}-{self.first}"


def start_server(network: Network, programs: Starter, *options: str) -> Program:
    argv = [*PYTHON, "server", "--json", *options]
    if not _spares:
        prepare()
    server = start(programs, "server", argv, network.pid("server"))
    server.wait_for_line('"event": "listening"', timeout=READY_WITHIN)
    return server


def prepare(pairs: int = 1) -> None:
    """Spares for a server and so many pairs, where no thread runs yet: else all start as cold as a user's.

    To be called before a capture, whose reader is a thread, as programs' readers are.
    """
    if threading.active_count() == 1:
        _spares.extend(Prepared() for _ in range(1 + 2 * pairs))


def start(programs: Starter, name: str, argv: Sequence[str], node_pid: int) -> Program:
    """Start a command of the project's, as a spare if there is one."""
    if _spares and isinstance(programs, Programs):
        return programs.start(name, argv, node_pid, prepared=_spares.pop())
    return programs.start(name, argv, node_pid)


class Starter(Protocol):
    """The programs of a test, as `natlab.programs.programs.Programs` starts them."""

    def start(self, name: str, argv: Sequence[str], node_pid: int, /) -> Program: ...


class Tunnel:
    """Both clients of a pair, a program's socket on one host and a service's on the other."""

    def __init__(
        self,
        network: Network,
        programs: Starter,
        pair: Pair,
        stack: ExitStack,
        *,
        options: Sequence[str],
        own: Mapping[str, Sequence[str]],
    ) -> None:
        def local(host: str) -> socket.socket:
            opened = stack.enter_context(udp_socket(network.pid(host), LOCAL))
            opened.settimeout(READY_WITHIN)
            return opened

        self._program = local(pair.first)
        self._service = local(pair.second)
        with udp_socket(network.pid(pair.first), LOCAL) as finder:
            self._entrance = finder.getsockname()
        forwards = (
            ["--listen", f"{LOCAL}:{self._entrance[1]}"],
            ["--connect", f"{LOCAL}:{self._service.getsockname()[1]}"],
        )
        hosts = (pair.first, pair.second)
        self.askers: list[tuple[str, int]] = []
        """Where the service was asked from, time after time."""
        self.clients: dict[str, Program] = {}
        for name, peer, host, forward in zip(
            pair.clients, pair.clients[::-1], hosts, forwards, strict=True
        ):
            argv = [*PYTHON, "client", "--id", name, "-r", peer, *forward]
            argv += [] if "--server" in options else ["--server", "192.0.2.2"]
            methods = [] if "--methods" in options else ["--methods", "ordered-hello"]
            argv += ["--json", *methods, *options, *own.get(host, ())]
            self.clients[host] = start(programs, name, argv, network.pid(host))

    def verdicts(self) -> set[str]:
        """What the clients say first: that a path stands, or that there is none."""
        wanted = '"event": "(path-established|attempt-failed)"'
        return {
            client.wait_for_line(wanted, timeout=READY_WITHIN, stream="stdout").group(1)
            for client in self.clients.values()
        }

    def wait_until_established(self) -> None:
        """Until both clients have a path, whatever failed before."""
        for client in self.clients.values():
            client.wait_for_line(
                '"event": "path-established"', timeout=READY_WITHIN, stream="stdout"
            )

    def carries(self, text: bytes, *, tries: int = 1, timeout: float = READY_WITHIN) -> bool:
        """A datagram goes through to the service and its answer comes back, within some tries."""
        self._program.settimeout(timeout)
        self._service.settimeout(timeout)
        for number in range(tries):
            question = text + b"?" + bytes([number])
            self._program.sendto(question, self._entrance)
            asker = _receive(self._service, question)
            if asker is None:
                continue
            self.askers.append(asker)
            answer = text + b"!" + bytes([number])
            self._service.sendto(answer, asker)
            if _receive(self._program, answer) is not None:
                return True
        return False

    def stream(self) -> Stream:
        """Datagrams both ways, from now on the only ones."""
        return Stream(self._program, self._entrance, self._service)

    def strays(self) -> list[bytes]:
        """What has come out at either end and was not asked for."""
        found = []
        for opened in (self._program, self._service):
            opened.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    found.append(opened.recv(65_536))
        return found

    def lost(self, sizes: Sequence[int]) -> list[tuple[str, int]]:
        """Payloads of these lengths go one after the other to the service and back: those that did not
        arrive whole, each with its way."""
        missing: list[tuple[str, int]] = []
        for opened in (self._program, self._service):
            opened.settimeout(READY_WITHIN)
        for size in sizes:
            payload = random.Random(size).randbytes(size)
            self._program.sendto(payload, self._entrance)
            asker = _receive(self._service, payload)
            if asker is None:
                missing.append(("there", size))
                continue
            self._service.sendto(payload, asker)
            if _receive(self._program, payload) is None:
                missing.append(("back", size))
        return missing


def _receive(opened: socket.socket, wanted: bytes) -> tuple[str, int] | None:
    """Where the datagram `wanted` came from, past older ones; None if it does not come in time."""
    try:
        while True:
            data, source = opened.recvfrom(65_536)
            if data == wanted:
                return str(source[0]), int(source[1])
    except TimeoutError:
        return None


def events(program: Program) -> Iterator[dict[str, object]]:
    for line in program.lines("stdout"):
        yield json.loads(line.text)


def ways(program: Program) -> list[str]:
    """The methods of a client's first path and of those to which it moved, in order."""
    said = list(events(program))
    first = [str(each["method"]) for each in said if each["event"] == "path-established"][:1]
    return first + [str(each["method"]) for each in said if each["event"] == "path-moved"]


@contextmanager
def tunnels(
    network: Network,
    programs: Starter,
    *pairs: Pair,
    options: Sequence[str] = ("--once",),
    own: Mapping[str, Sequence[str]] = NONE,
) -> Iterator[dict[Pair, Tunnel]]:
    """The tunnels of all `pairs`, begun at the same time; `options` are the clients', `own` has more of a host's."""
    with ExitStack() as stack:
        yield {
            pair: Tunnel(network, programs, pair, stack, options=options, own=own) for pair in pairs
        }
