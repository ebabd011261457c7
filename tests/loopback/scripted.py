"""Scripted ends: a server, a client or a peer whose every word the test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from nat_traversal import Endpoint
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.client.security import Security
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.wire import control, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.lines import LineDecoder
from tests.loopback.programs import Program
from tests.loopback.support import DEADLINE, N, eventually
from tests.unit.counterpart import Counterpart, Voice, an_announce, an_offer, opened, some_keys


class Wire:
    """A scripted end of the control connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.registered: m.Register | None = None
        """What a client has registered with."""
        self._lines = LineDecoder()
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
    return m.Register(1, (2,), host_id, peer_id, key, generation, an_offer(host_id))


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
        """Read until that frame comes. All else that comes may be anything."""
        while True:
            octets, _ = await self.program.receive()
            is_frame = isinstance(datagrams.decode(octets), datagrams.Frame)
            if is_frame and (kind, plain) in opened(self.epochs, octets):
                return
