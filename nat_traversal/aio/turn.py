"""An allocation at this host's TURN server, which stands for a UDP socket: `aioice` speaks the protocol.

It allocates, refreshes and gives back. Channels are bound here, since a permission lasts for 300 s only (RFC 8656 section
9), and datagrams go through them without a task for each.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from aioice.stun import TransactionError

from nat_traversal.aio.dial import connected, failure
from nat_traversal.aio.one_by_one import OneByOne
from nat_traversal.aio.packet_io import (
    SOCKET_BUFFER,
    PacketIO,
    endpoint_of,
    forbid_fragments,
    wildcard,
)
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.tls import context_trusting, why_refused
from nat_traversal.aio.turn_client import TcpClient, UdpClient
from nat_traversal.errors import NameUnresolvedError, UsageError
from nat_traversal.machine import events as e
from nat_traversal.wire.addresses import is_link_local, is_loopback, is_usable
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.turn import TurnServer

log = logging.getLogger(__name__)

_MOST_WAITING = 4
"""Datagrams that wait for a channel."""
_MOST_UNSENT = 1 << 20
"""Octets that wait for the kernel; more are lost, as in a socket."""
_SILENT = "does not answer: check --turn, and that no firewall blocks the way there"
_LOST = "has ended the allocation, or answers no more: the next attempt asks for another"
_NOWHERE = "where nobody can be reached: its operator has to give it an address that others reach"
_ROOM, _BATCH = 2_048, 64
"""Octets of room for a datagram, which no path through TURN fills, and datagrams that are read at once."""
_ANY = ("", 0)
"""The source of what came by a connected socket: the library knows it."""
_HEADER = struct.Struct("!HH")
_MEANINGS = {
    400: "says that the request is wrong (400): is it a TURN server?",
    401: "refuses the name or the password: check the file of --turn-credentials",
    403: "may not relay to the other side's address (403): its operator has to allow that",
    437: "still has another allocation for this port (437): the next attempt takes a fresh one",
    438: "takes every nonce for stale (438): its clock or its operator's settings are wrong",
    440: "has no address of that IP version (440): name another one with --turn",
    441: "refuses these credentials for an allocation of somebody else (441)",
    442: "relays no UDP (442): name another one with --turn",
    486: "gives no further allocation (486): end other clients with this name, or let its operator raise its quotas",
    508: "is full (508): try again later, or name another one with --turn",
}


Client = UdpClient | TcpClient
C = TypeVar("C", UdpClient, TcpClient)


@dataclass(frozen=True, slots=True)
class TurnTimings:
    """Seconds. The defaults suit every server of RFC 8656."""

    lifetime: int = 600
    """Of an allocation; it is refreshed after five sixths of them."""
    refresh: float = 240.0
    """Until channels and so permissions are refreshed (RFC 8656 section 9: these last for 300)."""
    within: float = 5.0
    """For the server to answer, and for each of its answers to follow."""
    release_within: float = 1.0
    """For it to take the allocation back."""


USUAL = TurnTimings()


class TurnEnd(OneByOne):
    """One allocation for a peer, by `server`: a `PacketIO` of one path, once `towards` has named it.

    `on_event` hears `TurnOpened` once, and `TurnBroken` at the end, unless `close` came first. `arrived` gets what
    comes, with its source.
    """

    def __init__(
        self,
        generation: int,
        server: TurnServer,
        platform: Platform,
        *,
        on_event: Callable[[e.Event], None],
        arrived: Callable[[bytes, Endpoint], None],
        timings: TurnTimings = USUAL,
    ) -> None:
        self._timings = timings
        self._generation = generation
        self._server = server
        self._platform = platform
        self._on_event = on_event
        self._arrived = arrived
        self._client: Client | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[tuple[str, int], list[bytes]] = {}
        """Datagrams, by the address whose channel is being bound."""
        self._header = 0
        """The channel of the path."""
        self._is_closed = False

    @property
    def kernel_socket(self) -> socket.socket | None:
        """The one to the TURN server."""
        transport = None if self._client is None else self._client.transport
        return None if transport is None else transport.get_extra_info("socket")

    def open(self, peers: tuple[Endpoint, ...]) -> None:
        """Allocate, and let `peers` in."""
        self._do(self._allocate(peers))

    def fail(self, reason: str) -> None:
        """It serves no more, or never has."""
        if not self._is_closed:
            self._is_closed = True
            self._on_event(e.TurnBroken(self._generation, f"{self._server.uri} {reason}"))

    def close(self) -> asyncio.Task[None]:
        """Give the allocation back: the task ends with that."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        return asyncio.get_running_loop().create_task(self._release())

    def send(self, data: bytes, destination: Endpoint | None) -> None:
        """One datagram, once there is a channel for its address."""
        assert destination is not None, "it is for the peer"
        assert self._client is not None, "the address came from it"
        address = destination.address, destination.port
        channel = self._client.peer_to_channel.get(address)
        if channel is not None:
            self._write(channel, data)
        elif address in self._waiting:
            self._waiting[address] = [*self._waiting[address], data][-_MOST_WAITING:]
        else:
            self._waiting[address] = [data]
            self._do(self._bind_for(address))

    def towards(self, remote: Endpoint) -> PacketIO:
        """A path to `remote` takes it."""
        assert self._client is not None, "a path needs it"
        self._header = self._client.peer_to_channel[remote.address, remote.port]
        return self

    def push(self, datagram: memoryview) -> None:
        """Of a path."""
        self._write(self._header, datagram)

    def _write(self, channel: int, data: bytes | memoryview) -> None:
        client = self._client
        if client is None or client.transport.is_closing():
            return
        framed = b"".join((_HEADER.pack(channel, len(data)), data))
        if isinstance(client, TcpClient):
            if client.transport.get_write_buffer_size() <= _MOST_UNSENT:
                client.transport.write(framed + bytes(-len(framed) % 4))
            return
        client.transport.sendto(framed)

    # The protocol

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """`work`, whose failure ends the allocation."""
        try:
            await work
        except NameUnresolvedError as error:
            self.fail(f"cannot be found: {error}: check --turn")
        except TransactionError as error:
            self.fail(_meaning(error, has_credentials=bool(self._server.username)))
        except TimeoutError:
            self.fail(_SILENT)
        except ssl.SSLError as error:
            self.fail(_distrust(error, self._server.uri.at.host))
        except OSError as error:
            self.fail(f"cannot be reached: {failure(error)}: check --turn")
        except UsageError as error:
            self.fail(f"cannot be reached: {error}")

    async def _allocate(self, peers: tuple[Endpoint, ...]) -> None:
        async with asyncio.timeout(self._timings.within):
            client = self._client = await self._connected()
            client.wants_ipv6 = any(peer.family == 6 for peer in peers)
            client.receiver = _Receiver(self._arrived, lambda: self.fail(_LOST))
            address, port = await client.connect()
            for peer in peers:
                await self._bind((peer.address, peer.port))
        relayed = Endpoint(address, port)
        if not self._leads_somewhere(relayed):
            self.fail(f"relays at {relayed}, {_NOWHERE}")
            return
        if not self._is_closed:
            self._on_event(e.TurnOpened(self._generation, relayed))
        while True:
            await asyncio.sleep(self._timings.refresh)
            for bound, channel in list(client.peer_to_channel.items()):
                await client.channel_bind(channel, bound)

    def _leads_somewhere(self, relayed: Endpoint) -> bool:
        """Whether another host may reach `relayed`. The traversal server would end the connection that names port 0."""
        address, sock = relayed.address, self.kernel_socket
        if not relayed.port or not is_usable(address) or is_link_local(address):
            return False
        return not relayed.is_loopback or (sock is not None and is_loopback(sock.getpeername()[0]))

    async def _connected(self) -> Client:
        """To the first of the server's addresses that can be connected to."""
        server, loop = self._server, asyncio.get_running_loop()
        lifetime = self._timings.lifetime
        addresses = await self._platform.resolve(server.uri.at, families=(4, 6))

        def client(kind: type[C]) -> C:
            given = server.username or None, server.password or None
            return kind(addresses[0].sockaddr[:2], *given, lifetime, 2 * lifetime)

        if not server.uri.by_tcp:
            udp = client(UdpClient)
            UdpTransport(self._udp_socket(addresses), udp, loop)
            return udp
        sock, _ = await connected(addresses)
        tls = context_trusting(server.ca) if server.uri.tls else None
        name = server.uri.at.host if server.uri.tls else None
        _, tcp = await loop.create_connection(
            lambda: client(TcpClient), sock=sock, ssl=tls, server_hostname=name
        )
        return tcp

    def _udp_socket(self, addresses: list[Endpoint]) -> socket.socket:
        """To the first of `addresses` that this host has a way to. Raises the error of the first if it has none."""
        problem: OSError | UsageError | None = None
        for address in addresses:
            sock: socket.socket | None = None
            try:
                sock = self._platform.open_udp(wildcard(address.family), SOCKET_BUFFER)
                sock.connect(address.sockaddr)
                forbid_fragments(sock)
            except (OSError, UsageError) as error:  # the latter: no such IP version here
                problem = problem or error
                if sock is not None:
                    sock.close()
            else:
                return sock
        assert problem is not None, "a name has one address at least"
        raise problem

    async def _bind_for(self, address: tuple[str, int]) -> None:
        """A channel for the datagrams that wait for one."""
        async with asyncio.timeout(self._timings.within):
            await self._bind(address)
        assert self._client is not None
        for data in self._waiting.pop(address, ()):
            self._write(self._client.peer_to_channel[address], data)

    async def _bind(self, address: tuple[str, int]) -> None:
        """A channel for that address, and with it a permission for its host (RFC 8656 section 12)."""
        client = self._client
        assert client is not None
        channel = client.channel_number
        client.channel_number += 1
        await client.channel_bind(channel, address)
        client.channel_to_peer[channel] = address
        client.peer_to_channel[address] = channel

    async def _release(self) -> None:
        client = self._client
        if client is None:
            return
        try:
            async with asyncio.timeout(self._timings.release_within):
                await client.delete()
        except TimeoutError:
            log.debug("the TURN server has not answered that its allocation is given back")
        finally:
            client.transport.close()


class UdpTransport(asyncio.DatagramTransport):
    """The connected socket `sock`, for the library, read until it is empty. Asyncio's own takes 256 KiB for each datagram."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: asyncio.DatagramProtocol,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__({"socket": sock})
        self._sock, self._protocol, self._loop = sock, protocol, loop
        self._is_closed = False
        loop.add_reader(sock, self._readable)
        protocol.connection_made(self)

    def sendto(self, data: Any, addr: object = None) -> None:
        """One datagram to the server; it is lost where there is no room, or no way."""
        del addr  # the socket is connected
        try:
            self._sock.send(data)
        except OSError as error:
            log.debug("a datagram to the TURN server was lost: %s", error)

    def is_closing(self) -> bool:
        """Nothing goes or comes any more."""
        return self._is_closed

    def close(self) -> None:
        """The protocol hears of it a moment later."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._loop.call_soon(self._protocol.connection_lost, None)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                data = self._sock.recv(_ROOM)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error for something sent earlier
                log.debug("the TURN server: %s", error)
                continue
            self._protocol.datagram_received(data, _ANY)
            if self._is_closed:
                return


class _Receiver(asyncio.DatagramProtocol):
    """Hears the peer through the TURN server, and of the end."""

    def __init__(
        self, arrived: Callable[[bytes, Endpoint], None], lost: Callable[[], None]
    ) -> None:
        self._arrived = arrived
        self._lost = lost

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._arrived(data, endpoint_of(addr))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the library's text is for its log
        self._lost()


def _meaning(error: TransactionError, *, has_credentials: bool) -> str:
    """A refusal or silence of the server, and the remedy."""
    code = None if error.response is None else error.response.error_code
    if code is None:
        return _SILENT
    if code == 401 and not has_credentials:
        return "wants a name and a password: give --turn-credentials FILE"
    return _MEANINGS.get(code, f"refuses with error {code}: its operator knows why")


def _distrust(error: ssl.SSLError, host: str) -> str:
    """The fault of the TLS of the server at `host`, and the remedy."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.reason or "broken").lower().replace("_", " ")
        return f"does not answer TLS with TLS ({reason}): check the port of --turn"
    why = why_refused(
        error,
        host,
        trust="give --turn-ca FILE with the certificate of its CA",
        rename="give --turn a name that is in it",
    )
    return f"cannot be trusted: its certificate {why}"
