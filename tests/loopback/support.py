"""Real sockets on 127.0.0.0/8: local programs, services, clients, commands, scripted ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from nat_traversal import Endpoint, Server, ServerSettings, serve
from nat_traversal.aio.client import Client, ClientConfig, OpenSocket
from nat_traversal.aio.connection import Connection
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.forwarder import Listener, ProgramForwarder
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.service import FixedService
from nat_traversal.client.security import Security
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings
from nat_traversal.wire import control, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from tests import ROOT
from tests.unit.counterpart import (
    Counterpart,
    Voice,
    an_announce,
    an_offer,
    opened,
    some_keys,
)

CHECKOUT = ROOT
DEADLINE = 30.0
"""Seconds until a test stops waiting for something. It says nothing about how long that takes."""
N = TypeVar("N")


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + DEADLINE
    while not condition():
        assert loop.time() < give_up, f"in vain: {what}"
        await asyncio.sleep(0.002)


def unused() -> Endpoint:
    """Where nobody listens, over UDP or TCP, unless the test does.

    The loopback address is random and the port below those that the kernel gives to others.
    """
    numbers = random.SystemRandom()
    middle = f"{numbers.randint(1, 254)}.{numbers.randint(0, 255)}"
    return Endpoint(f"127.{middle}.{numbers.randint(1, 254)}", 16_545)


class Program:
    """A local program with one UDP socket."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self.sock.bind((address, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.sock.getsockname())

    def send(self, payload: bytes, to: Endpoint) -> None:
        self.sock.sendto(payload, to.sockaddr)

    async def receive(self) -> tuple[bytes, Endpoint]:
        async with asyncio.timeout(DEADLINE):
            data, source = await asyncio.get_running_loop().sock_recvfrom(self.sock, 65_536)
        return data, endpoint_of(source)

    async def ask(self, payload: bytes, to: Endpoint) -> bytes:
        """Send, and return the first answer."""
        self.send(payload, to)
        return (await self.receive())[0]

    def has_received(self) -> bool:
        """Whether something is there to be read."""
        return bool(select.select([self.sock], [], [], 0)[0])


Answer = Callable[[bytes, Endpoint], bytes]


class Service(Program):
    """A program that answers each datagram, with the same octets unless told otherwise."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        *,
        answer: Answer = lambda payload, _: payload,
    ) -> None:
        super().__init__(address, port)
        self.asked: list[tuple[bytes, Endpoint]] = []
        self._compose = answer
        asyncio.get_running_loop().add_reader(self.sock, self._answer)

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        super().__exit__()

    def _answer(self) -> None:
        data, source = self.sock.recvfrom(65_536)
        self.asked.append((data, endpoint_of(source)))
        self.sock.sendto(self._compose(data, self.asked[-1][1]), source)


class Notices(list[note.Notice]):
    """What a client or server has told."""

    def of(self, kind: type[N]) -> list[N]:
        return [notice for notice in self if isinstance(notice, kind)]

    async def wait(self, kind: type[N], count: int = 1) -> N:
        """The notice number `count` of its kind."""
        await eventually(lambda: len(self.of(kind)) >= count, f"{kind.__name__} number {count}")
        return self.of(kind)[count - 1]


MakeConnector = Callable[[Counters, Callable[[str], None], ClientSettings], Connector]


class Host:
    """One client in this process, put together as the command line does it."""

    def __init__(
        self,
        server: Endpoint,
        local_id: str,
        remote_id: str,
        *,
        listen: str | None = None,
        connect: Sequence[Endpoint] = (),
        once: bool = False,
        settings: ClientSettings | None = None,
        security: Security | None = None,
        tls: ClientTlsSettings | None = None,
        connector: MakeConnector | None = None,
    ) -> None:
        self.notices = Notices()
        self.problems: list[str] = []
        self.counters = Counters()
        tell = self.problems.append
        settings = settings or ClientSettings()
        common = (self.counters, tell, settings)
        self.listener = Listener(HostPort(listen, 0), *common) if listen else None
        self.connector = connector(*common) if connector else None
        if connect:
            self.connector = Connector(FixedService(connect), *common)
        self.forwarder = ProgramForwarder(
            self.counters, self.listener, self.connector, tell, settings
        )
        config = ClientConfig(
            HostPort(*server.sockaddr), local_id, remote_id, once, settings, security, tls=tls
        )
        self.client = Client(config, self.forwarder, self.notices.append, counters=self.counters)

    async def __aenter__(self) -> Self:
        self.client.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        self.forwarder.close()

    @property
    def port(self) -> Endpoint:
        """Where local programs send to."""
        assert self.listener is not None
        return self.listener.endpoint

    @property
    def socket(self) -> OpenSocket:
        """Its only open UDP socket."""
        (opened,) = self.client.sockets.values()
        return opened

    @property
    def path(self) -> DataPath:
        assert self.socket.path is not None
        return self.socket.path

    async def connected(self, count: int = 1) -> note.PathEstablished:
        return await self.notices.wait(note.PathEstablished, count)


@asynccontextmanager
async def a_server(
    host: str = "127.0.0.1",
    settings: ServerSettings | None = None,
    tls: ServerTlsSettings | None = None,
) -> AsyncIterator[tuple[Server, Notices]]:
    """A server on any free port, and what it tells."""
    notices = Notices()
    async with await serve(host, 0, settings=settings, tls=tls, on_notice=notices.append) as server:
        yield server, notices


@asynccontextmanager
async def two_hosts(
    *,
    connect: Sequence[Endpoint] = (),
    a_connect: Sequence[Endpoint] = (),
    listen: str = "127.0.0.1",
    b_listen: str | None = None,
    settings: ClientSettings | None = None,
    security: tuple[Security | None, Security | None] = (None, None),
) -> AsyncIterator[tuple[Host, Host]]:
    """A path between host_a, who listens, and host_b, who connects to a service."""
    async with (
        a_server() as (server, _),
        Host(
            *(server.endpoint, "host_a", "host_b"),
            listen=listen,
            connect=a_connect,
            settings=settings,
            security=security[0],
        ) as a,
        Host(
            *(server.endpoint, "host_b", "host_a"),
            listen=b_listen,
            connect=connect,
            settings=settings,
            security=security[1],
        ) as b,
    ):
        await a.connected()
        await b.connected()
        yield a, b


class Wire:
    """A scripted end of the control connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.registered: m.Register | None = None
        """What a client has registered with."""
        self._lines = control.LineDecoder()
        self._read: list[m.Message | m.UnknownMessage] = []

    @classmethod
    async def to(cls, server: Endpoint) -> Wire:
        return cls(*await asyncio.open_connection(*server.sockaddr))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        await eventually(self.writer.transport.is_closing, "the transport is closed")
        await asyncio.sleep(0)

    def send(self, *messages: m.Message) -> None:
        """All in one segment."""
        self.writer.write(b"".join(map(control.encode, messages)))

    async def next(self) -> m.Message | m.UnknownMessage | None:
        """The next message; None at the end of the stream."""
        async with asyncio.timeout(DEADLINE):
            while not self._read:
                data = await self.reader.read(65_536)
                if not data:
                    return None
                self._read += self._lines.feed(data)
        return self._read.pop(0)

    async def until(self, kind: type[N]) -> N:
        """The next message of a kind; others are passed over."""
        while True:
            message = await self.next()
            assert message is not None, f"the connection ended before {kind.__name__}"
            if isinstance(message, kind):
                return message

    async def ended(self) -> None:
        """Read on until the other end closes."""
        while await self.next() is not None:
            pass


(KEY,) = some_keys("client")
"""What scripted clients register with."""
_numbers = itertools.count(1)


def register(host_id: str, peer_id: str, key: bytes = KEY, generation: int = 1) -> m.Register:
    return m.Register(1, (2,), host_id, peer_id, key, 0, generation, an_offer(host_id))


def announce(key: bytes = KEY, generation: int = 1) -> bytes:
    """The next one."""
    return datagrams.encode(an_announce(key, next(_numbers), generation))


class ScriptedServer:
    """Accepts one client after the other and leaves every word to the test."""

    def __init__(self, server: asyncio.Server, accepted: asyncio.Queue[Wire]) -> None:
        self._server = server
        self._accepted = accepted
        self.endpoint = endpoint_of(server.sockets[0].getsockname())

    @classmethod
    @asynccontextmanager
    async def run(cls) -> AsyncIterator[ScriptedServer]:
        accepted: asyncio.Queue[Wire] = asyncio.Queue()
        wires: list[Wire] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            wires.append(Wire(reader, writer))
            accepted.put_nowait(wires[-1])

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield cls(server, accepted)
        finally:
            server.close()
            for wire in wires:
                await wire.__aexit__()

    async def client(self) -> Wire:
        """The next client, registered."""
        async with asyncio.timeout(DEADLINE):
            wire = await self._accepted.get()
        wire.registered = await wire.until(m.Register)
        accepted = m.Registered(wire.registered.transaction, 2, 20.0)
        wire.send(accepted, m.PeerStatus(m.PeerState.PRESENT))
        return wire


class ScriptedPeer:
    """host_b, and the server's end of host_a's connection: a round in which the test says every word."""

    def __init__(
        self, wire: Wire, program: Program, security: Security | None = None, attempt: int = 1
    ) -> None:
        self.wire = wire
        self.program = program
        self.counterpart = Counterpart("host_b", "host_a", security)
        self.attempt = attempt
        self.voice: Voice
        self.host = Endpoint("127.0.0.1", 9)
        """Where host_a was heard last."""
        self.heard: datagrams.Hello | datagrams.Confirm
        """What it said last."""
        self._epochs: Epochs | None = None

    @property
    def epochs(self) -> Epochs:
        """Of the path, once host_a has been heard."""
        if self._epochs is None:
            self._epochs = self.counterpart.epochs(self.heard.connection)
        return self._epochs

    def start(self, role: m.Role, *candidates: Endpoint) -> m.StartRound:
        """The order for host_a to begin, in `role`."""
        assert self.wire.registered is not None
        found = candidates or (self.program.endpoint,)
        start = self.counterpart.start(role, *found, attempt=self.attempt)
        self.voice = self.counterpart.voice(start, self.wire.registered.offer)
        return start

    async def up_to_hello_3(self) -> None:
        """host_a in role A has said HELLO 3, and knows nothing yet."""
        self.wire.send(self.start(m.Role.A), m.SendHello(1, self.attempt, 1, 1))
        await self.hears(1)
        self.sends(self.voice.hello(2, to=self.host, echo=self.heard.nonce))
        await self.hears(3)

    def confirms(self) -> None:
        """Give host_a its proof."""
        self.sends(self.voice.confirm(to=self.host, echo=self.heard.nonce))

    def sends(self, datagram: datagrams.Datagram | bytes) -> None:
        octets = datagram if isinstance(datagram, bytes) else datagrams.encode(datagram)
        self.program.send(octets, self.host)

    def sends_frame(self, kind: datagrams.Kind, plain: bytes = b"") -> None:
        self.sends(self.epochs.sealer.seal(kind, plain))

    async def hears(self, step: int) -> None:
        """The next HELLO of that step."""
        while True:
            octets, self.host = await self.program.receive()
            datagram = datagrams.decode(octets)
            if isinstance(datagram, datagrams.Hello) and datagram.step == step:
                self.heard = datagram
                return

    async def hears_frame(self, kind: datagrams.Kind, plain: bytes = b"") -> None:
        """Read until that frame comes. Whatever else comes may be anything."""
        while True:
            octets, _ = await self.program.receive()
            is_frame = isinstance(datagrams.decode(octets), datagrams.Frame)
            if is_frame and (kind, plain) in opened(self.epochs, octets):
                return


def _undated(line: str) -> str:
    """A line of a log file without its time."""
    return re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} ", "", line.rstrip())


class Command:
    """One command of this package as a process of its own. Use it as a context manager."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[str] = []
        self.events: list[dict[str, Any]] = []

    @classmethod
    @asynccontextmanager
    async def run(
        cls, *words: str, stdout: int | None = asyncio.subprocess.PIPE, **environment: str
    ) -> AsyncIterator[Command]:
        """Run `words` in the checkout, where `python3` is the interpreter of the tests."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=CHECKOUT,
            env={**os.environ, "PATH": path, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )
        command = cls(process)
        try:
            yield command
        finally:
            if process.returncode is None:
                process.kill()
            await command.end()

    async def line(self, text: str) -> str:
        """The next line on stderr with `text` in it."""
        assert self.process.stderr is not None
        await self._read(self.process.stderr, self.told, lambda line: text in line, _undated)
        return self.told[-1]

    async def event(self, name: str) -> dict[str, Any]:
        """The next JSON event of that name."""
        assert self.process.stdout is not None
        await self._read(
            self.process.stdout, self.events, lambda event: event["event"] == name, json.loads
        )
        return self.events[-1]

    async def _read(
        self,
        stream: asyncio.StreamReader,
        kept: list[N],
        wanted: Callable[[N], bool],
        parse: Callable[[str], N],
    ) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                while raw := await stream.readline():
                    kept.append(parse(raw.decode()))
                    if wanted(kept[-1]):
                        return
        except TimeoutError:
            raise AssertionError(f"it runs, but has told only {kept}") from None
        raise AssertionError(f"it has ended, and told only {kept}")

    async def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and return the exit status once all output is read."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            out, err = await self.process.communicate()
        self.events += [json.loads(line) for line in (out or b"").splitlines()]
        self.told += map(_undated, err.decode().splitlines())
        assert self.process.returncode is not None
        return self.process.returncode


__all__ = [
    "CHECKOUT",
    "DEADLINE",
    "Command",
    "Connection",
    "Host",
    "Notices",
    "Program",
    "ScriptedPeer",
    "ScriptedServer",
    "Service",
    "Wire",
    "a_server",
    "announce",
    "eventually",
    "register",
    "two_hosts",
    "unused",
]
