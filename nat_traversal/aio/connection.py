"""`nat_traversal.connect`: a datagram connection to a peer behind NATs, for programs in Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from nat_traversal.aio.client import Client
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.datapath import FROM_LISTENER, DataPath
from nat_traversal.aio.inbox import Delivery
from nat_traversal.aio.outbox import runs_with_room
from nat_traversal.aio.traffic import Traffic
from nat_traversal.client.path_status import PathStatus
from nat_traversal.client.security import Security
from nat_traversal.errors import (
    ConnectionLostError,
    NatTraversalError,
    RegistrationRefusedError,
    ServerUnreachableError,
    TraversalFailedError,
    UsageError,
)
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.tls import ClientTlsSettings
from nat_traversal.wire.datagrams import MAX_UDP_PAYLOAD
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.ids import check_id, parse_server
from nat_traversal.wire.messages import Relaying, Serves
from nat_traversal.wire.turn import TurnServer, check_library

FLOW = 0
"""The API has one flow. To a `--connect` side it looks like one local program."""


class Connection:
    """A path to the peer that carries datagrams: unordered, unacknowledged, as UDP does."""

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self.counters = Counters()
        self._traffic = Traffic(self.counters)
        settings = settings or ClientSettings()
        self._most, self._most_octets = settings.queue, settings.queue_octets
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(self._most + 1)
        self._octets = 0
        """In the queue."""
        self._path: DataPath | None = None
        self._established: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._newest: note.PathEstablished | note.PathMoved | None = None
        """The path that carries."""
        self._end: NatTraversalError | None = None
        self._client: Client | None = None

    def status(self) -> PathStatus:
        """The path of now: by which rung, since when, its round trip, loss and MTU; if relayed, why."""
        assert self._client is not None, "a connection of `connect` has a client"
        return self._client.status()

    @property
    def remote(self) -> Endpoint:
        """The peer's external endpoint."""
        return self._told_path().remote

    @property
    def method(self) -> str:
        """The rung of the ladder that opened the path."""
        return self._told_path().method

    def _told_path(self) -> note.PathEstablished | note.PathMoved:
        assert self._newest is not None, "wait_established first"
        return self._newest

    def send(self, payload: bytes | memoryview) -> None:
        """Send one datagram of 0 to 65,507 octets.

        A datagram that the network refuses is counted in `counters`, as UDP would lose it too. Raises
        `UsageError` for a longer payload, `ConnectionLostError` once the path has ended.
        """
        self.send_many((payload,))

    def send_many(self, payloads: Sequence[bytes | memoryview]) -> None:
        """Send datagrams in this order, each as `send` does; none if one of them is too long.

        Those of one size in a row leave in one system call, so that several cost far less than as many calls
        of `send`.
        """
        longest = max(map(len, payloads), default=0)
        if longest > MAX_UDP_PAYLOAD:
            raise UsageError(f"a datagram holds at most {MAX_UDP_PAYLOAD} octets, not {longest}")
        if self._end is not None:
            raise self._end
        if self._path is None:  # the peer had no proof of it: between two rounds
            self._traffic.unsendable.value += len(payloads)
            return
        for run in runs_with_room(payloads):
            self._path.send_run(FLOW, FROM_LISTENER, run)
        self._path.flush()

    async def receive(self) -> bytes:
        """The next datagram. Raises `ConnectionLostError` when the path has ended and all is read."""
        payload = await self._queue.get()
        if payload is None:
            self._queue.put_nowait(None)  # for the next caller
            assert self._end is not None
            raise self._end
        self._octets -= len(payload)
        return payload

    async def receive_many(self, most: int = 64) -> list[bytes]:
        """The datagrams that are there, from 1 to `most` of them, in the order in which they came: waits for the first.
        Raises as `receive` does."""
        payloads = [await self.receive()]
        while len(payloads) < most and not self._queue.empty():
            payload = self._queue.get_nowait()
            if payload is None:
                self._queue.put_nowait(None)  # the end: for the next call
                break
            self._octets -= len(payload)
            payloads.append(payload)
        return payloads

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._datagrams()

    async def _datagrams(self) -> AsyncIterator[bytes]:
        while True:
            try:
                yield await self.receive()
            except ConnectionLostError:
                return

    async def wait_established(self) -> None:
        await self._established

    def serve_status(self, client: Client) -> None:
        """`client` runs this connection."""
        self._client = client

    # The `Forwarder` interface

    def path_up(self, path: DataPath) -> None:
        self._path = path

    def path_down(self) -> None:
        self._path = None

    def match(self, numbers: Mapping[int, int], certificate: bytes) -> None:
        """The API has the unnamed service alone."""

    def deliver(self, batch: Sequence[Delivery]) -> None:
        for payload in (payload for each in batch for payload in each.payloads):
            octets = self._octets + len(payload)
            if self._queue.qsize() >= self._most or octets > self._most_octets:
                self._traffic.unclaimed.value += 1
            else:
                self._octets = octets
                self._queue.put_nowait(bytes(payload))

    def not_sent(self, reason: str) -> None:
        """`counters` have it."""

    def told(self, notice: note.Notice) -> None:
        match notice:
            case note.PathEstablished():
                if self._path is None:
                    self._newest = notice
                if not self._established.done():
                    self._established.set_result(None)
            case note.PathMoved():
                self._newest = notice
            case note.ServerLost(reason, None):
                self._fail(ServerUnreachableError(reason))
            case note.ServerRefused(code, text):
                self._fail(RegistrationRefusedError(code, text))
            case note.AttemptFailed(_, text, _) if self._newest is not None:
                self._fail(ConnectionLostError(text))
            case note.AttemptFailed(code, text, _):
                self._fail(TraversalFailedError(code, text))
            case note.PathLost(reason, False):
                self._fail(ConnectionLostError(reason))
            case _:
                pass

    def closed(self) -> None:
        """This side has closed it."""
        self._fail(ConnectionLostError("the path has ended"))

    def _fail(self, error: NatTraversalError) -> None:
        if self._end is not None:
            return
        self._end = error
        self._queue.put_nowait(None)
        if not self._established.done():
            self._established.set_exception(error)


@asynccontextmanager
async def connect(
    server: str,
    *,
    local_id: str,
    remote_id: str,
    settings: ClientSettings | None = None,
    security: Security | None = None,
    tls: ClientTlsSettings | None = None,
    relaying: Relaying = Relaying.AUTO,
    server_token: bytes | None = None,
    turn: TurnServer | None = None,
) -> AsyncIterator[Connection]:
    """Register at `server` as `local_id` and connect to `remote_id`, who must do the same.

    `server` is ``host`` or ``host:port`` (port 6545 by default). Waits for the peer without limit:
    wrap it in `asyncio.timeout` to bound that. Leaving the block closes the path and tells the peer.
    `settings` has every timing and limit; the defaults suit the open internet. `security` has this side's
    keys, and so what it demands of the peer; without it the server vouches for the peer. `tls` is for a server that
    has it: the ids and keys that go to the server are then private, and it is the one that is meant. `relaying` says
    whether the server may hand the sealed datagrams on where no direct path stands. `server_token`: 32 octets, for a server
    that takes only clients with a token. `turn` is a TURN server of this host's own, which relays where the server does not; it
    needs the extra ``turn``.

    Raises `UsageError` (a wrong argument), `ServerUnreachableError`, `RegistrationRefusedError`,
    `TraversalFailedError` (both roles were tried); inside the block `ConnectionLostError`.
    """
    if turn is not None:
        check_library()
    config = ClientConfig(
        parse_server(server),
        check_id(local_id),
        check_id(remote_id),
        once=True,
        settings=settings or ClientSettings(),
        serves=Serves.API,
        security=security,
        tls=tls,
        relaying=relaying,
        server_token=server_token,
        turn=turn,
        takes_turn=relaying is not Relaying.NEVER,
    )
    connection = Connection(config.settings)
    client = Client(config, connection, connection.told, counters=connection.counters)
    connection.serve_status(client)
    client.start()
    try:
        await connection.wait_established()
        yield connection
    finally:
        connection.closed()
        await client.close()
