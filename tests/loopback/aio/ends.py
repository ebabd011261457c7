"""One end of a data path, whose other end a test plays."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from nat_traversal import Endpoint
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.inbox import Delivery
from nat_traversal.aio.packet_io import endpoint_of, open_udp
from nat_traversal.aio.traffic import Traffic
from nat_traversal.machine.actions import UsePath
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.events import DatagramsOffered, Event
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.offers import Suite
from tests.loopback.programs import Program
from tests.loopback.support import eventually
from tests.sim.clock import Clock
from tests.unit.bundled import Datagram, bundled
from tests.unit.counterpart import opened, two_ends

if TYPE_CHECKING:
    pass


SETTINGS = ClientSettings()


class Taker:
    """A forwarder that keeps what comes."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int, bytes]] = []
        self.troubles: list[str] = []

    def path_up(self, path: DataPath) -> None: ...

    def path_down(self) -> None: ...

    def match(self, numbers: Mapping[int, int], certificate: bytes) -> None: ...

    def deliver(self, batch: Sequence[Delivery]) -> None:
        self.taken += [
            (flow, direction, bytes(payload))
            for flow, direction, payloads in batch
            for payload in payloads
        ]

    def not_sent(self, reason: str) -> None:
        self.troubles.append(reason)


class End:
    """A path, its socket in the event loop, the peer's keys, and everything that happened."""

    def __init__(
        self,
        remote: Endpoint,
        suite: Suite = Suite.AES_256_GCM,
        settings: ClientSettings = SETTINGS,
    ) -> None:
        self.sock = open_udp(Endpoint("127.0.0.1", 0))
        self.taker = Taker()
        self.counters = Counters()
        self.traffic = Traffic(self.counters)
        self.clock = Clock()
        ours, self.peers = two_ends(suite)
        """`peers` seals what the path opens, opens what it seals."""
        self.other: list[bytes] = []
        self.events: list[Event] = []
        self.told: list[tuple[Kind, bytes]] = []
        """The frames that are no program's."""
        self.frame_closes = False
        """Such a frame closes the path, as a BYE does."""
        self.path = DataPath(
            self.sock,
            UsePath(1, remote, ours),
            forwarder=self.taker,
            traffic=self.traffic,
            settings=settings,
            clock=self.clock,
            on_frame=self._told,
            on_event=self._on_event,
            on_other=self.other.append,
        )

    def _on_event(self, event: Event) -> None:
        """Each datagram that is sent after a pause is told: `events` has all else."""
        if not isinstance(event, DatagramsOffered):
            self.events.append(event)

    def on(self, sock: socket.socket) -> DataPath:
        """Another path, with the same ends of everything but the socket."""
        return DataPath(
            sock,
            replace(self.path.order, remote=Endpoint("127.0.0.1", 9)),
            forwarder=self.taker,
            traffic=Traffic(self.counters),
            settings=SETTINGS,
            clock=self.clock,
            on_frame=self._told,
            on_event=self._on_event,
            on_other=self.other.append,
        )

    def _told(self, kind: Kind, plain: bytes) -> None:
        self.told.append((kind, plain))
        if self.frame_closes:
            self.path.close()

    def data(self, payload: bytes, flow: int = 7, *, from_listener: bool = True) -> bytes:
        """A frame of the peer."""
        direction = bytes([from_listener])
        return self.peers.sealer.seal(Kind.DATA, direction + flow.to_bytes(4, "big") + payload)

    def bundle(self, *datagrams: Datagram, content: int = 100) -> list[bytes]:
        """The frames of the peer that have these in one bundle, `content` octets of it each."""
        return [self.peers.sealer.seal(Kind.BUNDLE, each) for each in bundled(datagrams, content)]

    async def hear(self, peer: Program, count: int) -> list[tuple[Kind, bytes]]:
        """The next `count` frames that the path sends, opened."""
        return opened(self.peers, *[(await peer.receive())[0] for _ in range(count)])

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self.sock, self.path.readable)
        return self

    def __exit__(self, *_: object) -> None:
        if self.sock.fileno() >= 0:  # nobody has taken it over
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.sock.getsockname())

    async def counted(self, **counts: int) -> None:
        """Wait until the counters are exactly these."""
        await eventually(lambda: self.counters.counted() == counts, f"{counts} are counted")


@asynccontextmanager
async def an_end(
    suite: Suite = Suite.AES_256_GCM, settings: ClientSettings = SETTINGS
) -> AsyncIterator[tuple[End, Program]]:
    with Program() as peer, End(peer.endpoint, suite, settings) as end:
        yield end, peer
