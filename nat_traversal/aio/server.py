"""The rendezvous server on asyncio."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace

from nat_traversal.access import OPEN, Access
from nat_traversal.aio.accepting import Acceptor, Address
from nat_traversal.aio.control_connection import ControlProtocol
from nat_traversal.aio.driver import Driver
from nat_traversal.aio.packet_io import (
    AnsweringSocket,
    Local,
    endpoint_of,
)
from nat_traversal.aio.ports import Ports
from nat_traversal.aio.room import affordable
from nat_traversal.aio.server_machine import SharedStore, machine_of, possession_by
from nat_traversal.aio.stun import AlternatePorts, StunService
from nat_traversal.aio.tls import ServerTls
from nat_traversal.aio.turns import MeteredProtocol, Turns
from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.failures import in_words
from nat_traversal.server.buckets import Bucket
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.server.useless import UselessDatagrams
from nat_traversal.settings import ServerSettings
from nat_traversal.tls import ServerTlsSettings
from nat_traversal.wire import DEFAULT_PORT, stun
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import encode as encode_message
from nat_traversal.wire.datagrams import decode, encode
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.source import source_of

log = logging.getLogger(__name__)


REASONS = 100
"""Refused connections a second that are told why; the others are reset."""
_AT_START = frozenset(
    {"accept_again", "accept_backlog", "accept_burst"}
    | {"log_burst", "log_every", "log_most", "monitor_within", "status_every"}
    | {each.name for each in fields(ServerSettings) if each.name.startswith("store_")}
)
"""Settings that a running server cannot change."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A reload: the names of settings that have `changed`, and of those that take a `restart`."""

    changed: tuple[str, ...]
    restart: tuple[str, ...]


class Server(Driver):
    """A running server. Use `serve` to make one, `async with` or `close` to end it."""

    def __init__(
        self,
        rendezvous: StandaloneServer,
        ports: Ports,
        on_notice: Callable[[note.Notice], None],
        settings: ServerSettings,
        tls: ServerTls | None = None,
        *,
        alternate: AlternatePorts | None = None,
    ) -> None:
        super().__init__(rendezvous)
        self._on_notice = on_notice
        self._settings = settings
        self._tls = tls
        self._access = OPEN
        self._buffer = memoryview(bytearray(65_536))
        self._connections: dict[e.ConnectionId, ControlProtocol] = {}
        self._numbers = itertools.count(1)
        self._acceptor: Acceptor | None = None
        self._turns = Turns(settings, rendezvous.counters)
        self._told_why = Bucket(REASONS, REASONS)
        self._store: SharedStore | None = None
        self.is_draining = False
        """Whether `drain` has been called."""
        self._empty = asyncio.Event()
        """Set once the last connection has gone; of use after the last that comes."""
        self._dropped_datagrams = rendezvous.counters.counter(
            "datagrams-dropped", "a datagram that is malformed, or an answer that could not be sent"
        )
        self._no_files = rendezvous.counters.counter(
            "accepts-failed", "a connection waited: this process had no room for one more"
        )
        self._stun = StunService(settings, rendezvous.counters, self._answer, alternate)
        self._useless = UselessDatagrams(rendezvous.counters)
        self.rendezvous = rendezvous
        self.ports = ports
        """Where connections and announces come, and the answers to these go out."""

    @property
    def counters(self) -> Counters:
        """Counts of all that was dropped and refused, with the reason."""
        return self.rendezvous.counters

    @property
    def connections(self) -> list[ControlProtocol]:
        """The control connections that stand, the oldest first."""
        return list(self._connections.values())

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens first, over TCP and UDP."""
        return self.endpoints[0]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every address and port at which it listens, in the order in which they were given."""
        return self.ports.endpoints

    @property
    def fingerprint(self) -> bytes | None:
        """SHA-256 of its certificate, 32 octets. None without TLS."""
        return None if self._tls is None else self._tls.fingerprint

    def share(self, make: Callable[[Callable[[object], None]], SharedStore]) -> None:
        """Share a store with other servers: `make` makes it, and is given what takes its answers."""
        self._store = make(lambda answer: self.feed(e.StoreAnswered(answer)))

    async def start(self) -> None:
        """Take connections and announces."""
        self._acceptor = Acceptor(
            self.ports.tcp,
            backlog=self._settings.accept_backlog,
            burst=self._settings.accept_burst,
            again=self._settings.accept_again,
            admit=self._admit,
            accepted=self._accepted,
            out_of_files=self._out_of_files,
        )
        for udp in self.ports.udp:
            self._loop.add_reader(udp.sock, self._readable, udp)
        self._stun.start()

    def restrict(self, access: Access) -> None:
        """From now on `access` says who may be here, and with whom. Others have to go."""
        self._access = access
        self.feed(e.AccessChanged(access))

    def reload(
        self, settings: ServerSettings, tls: ServerTlsSettings | None, access: Access = OPEN
    ) -> Reloaded:
        """Go on with other settings, with the certificate that `tls` names now, and with whom `access` lets in.

        Connections that stand keep their certificate. Raises `UsageError` for files that cannot be
        used; then nothing has changed.
        """
        securing = None if tls is None else ServerTls.of(tls)
        old, new = asdict(self._settings), asdict(affordable(settings))
        differ = [name for name in new if new[name] != old[name]]
        changed = [name for name in differ if name not in _AT_START]
        restart = [name for name in differ if name in _AT_START]
        self._settings = replace(self._settings, **{name: new[name] for name in changed})
        self.rendezvous.reconfigure(self._settings)
        self._stun.reconfigure(self._settings)
        self._turns.reconfigure(self._settings)
        if access != self._access:
            self.restrict(access)
            changed.append("access")
        if (securing is None) != (self._tls is None):
            restart.append("tls")
        elif securing is not None:
            if securing.fingerprint != self.fingerprint:
                changed.append("certificate")
            self._tls = securing
        return Reloaded(tuple(map(_flag, changed)), tuple(map(_flag, restart)))

    async def drain(self) -> None:
        """Take nobody any more, let attempts end, and tell each client when to come back. Returns when all have gone."""
        self.is_draining = True
        if self._acceptor is not None:
            self._acceptor.close()
        self._empty.clear()
        self.feed(e.DrainRequested())
        self._tell_if_empty()
        await self._empty.wait()

    @property
    def attempts(self) -> int:
        """Attempts that go on."""
        return self.rendezvous.attempts

    async def close(self) -> None:
        """End every connection and free the ports. A second time does nothing."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is None:
            return
        acceptor.close()
        for udp in self.ports.udp:
            self._loop.remove_reader(udp.sock)
        self._stun.close()
        connections = self.connections
        self.feed(e.StopRequested())
        self._disarm()
        self.ports.close()
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.closed() for connection in connections))
        if self._store is not None:
            await self._store.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _admit(self, address: Address) -> bytes | None:
        """The octets to refuse a connection with; None to take it."""
        now, source = self._loop.time(), source_of(address[0])
        refusal = self.rendezvous.gate.refusal(source, now)
        if refusal is None:
            return None
        self._on_notice(note.HostRefused(None, refusal.code, refusal.text, source))
        if self._tls is not None or not self._told_why.take(now):
            return b""
        return encode_message(m.Refused(refusal.code, refusal.text))

    def _accepted(self, address: Address) -> ControlProtocol:
        number = next(self._numbers)
        tls = None if self._tls is None else self._tls.stream()
        protocol = self._connections[number] = MeteredProtocol(
            number,
            self.feed,
            self._settings,
            tls,
            turns=self._turns,
            source=source_of(address[0]),
        )
        return protocol

    def _out_of_files(self, error: OSError) -> None:
        self._no_files.value += 1
        self._on_notice(note.NoRoom(in_words(error)))

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.SendMessage(message, connection):
                if (protocol := self._connections.get(connection)) is not None:
                    protocol.send(message)
            case do.CloseControl(connection):
                if (protocol := self._connections.pop(connection, None)) is not None:
                    protocol.close()
                    self._tell_if_empty()
            case do.SendDatagram(datagram, destination, _, local) if destination is not None:
                self._answer(encode(datagram), destination, local)
            case do.UseStream(connection):
                if (protocol := self._connections.get(connection)) is not None:
                    protocol.use_stream()
            case do.SendOnStream(datagram, connection):
                if (protocol := self._connections.get(connection)) is not None:
                    self._dropped_datagrams.value += not protocol.send_datagram(encode(datagram))
            case do.AskStore(request):
                if self._store is not None:
                    self._store.request(request)
            case do.Tell(notice):
                self._on_notice(notice)

    def feed(self, event: e.Event) -> None:
        super().feed(event)
        if isinstance(event, e.ControlBroken):
            self._connections.pop(event.connection, None)
            self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if not self._connections:
            self._empty.set()

    def _readable(self, udp: AnsweringSocket) -> None:
        """Read some datagrams, more of them if many are shed."""
        useless, burst = self._useless, self._settings.datagram_burst
        useless.begin(self._loop.time())
        read, led_nowhere = 0, useless.read()
        for _ in range(8 * burst):
            try:
                length, source, local = udp.receive_into(self._buffer)
            except BlockingIOError:
                useless.is_behind = False
                return
            except OSError as error:  # an ICMP error for an earlier answer: no news
                log.debug("UDP: %s", error)
                continue
            if useless.sheds(source[0]):
                continue
            local = self.ports.local(udp, local)
            self._datagram(bytes(self._buffer[:length]), endpoint_of(source), udp, local)
            before, led_nowhere = led_nowhere, useless.read()
            if led_nowhere > before:
                useless.led_to_nothing(source[0])
            read += 1
            if read == burst:
                break
        useless.is_behind = True

    def _datagram(
        self, octets: bytes, source: Endpoint, udp: AnsweringSocket, local: Local
    ) -> None:
        if stun.is_stun(octets):
            self._stun.arrived(octets, source, udp.endpoint, local)
            return
        try:
            datagram = decode(octets)
        except WireError as error:
            self._dropped_datagrams.value += 1
            log.debug("dropped a datagram from %s: %s", source, error)
            return
        self.feed(e.DatagramArrived(datagram, source, local=local))

    def _answer(self, data: bytes, destination: Endpoint, local: Local) -> None:
        try:
            self.ports.answer(data, destination, local)
        except OSError as error:
            self._dropped_datagrams.value += 1
            log.debug("no answer to %s: %s", destination, error)


async def serve(
    host: str | Sequence[str] = "0.0.0.0",  # noqa: S104
    port: int = DEFAULT_PORT,
    *,
    settings: ServerSettings | None = None,
    tls: ServerTlsSettings | None = None,
    sockets: Sequence[socket.socket] = (),
    on_notice: Callable[[note.Notice], None] | None = None,
    rng: random.Random | None = None,
    counters: Counters | None = None,
    store: str | None = None,
    alternate: Endpoint | None = None,
    relay_address: Endpoint | None = None,
    access: Access = OPEN,
) -> Server:
    """Start a rendezvous server on TCP and UDP `port` (0: any free one) of the IP address `host`, or of several.

    ``::`` is every IPv6 address and no IPv4 address, ``0.0.0.0`` the other way round. Clients meet by
    the IP version by which they have reached the server, so the two of a pair need the same one.

    `sockets`: bound ones in place of these, as a service manager hands them over; at each address one
    for TCP and one for UDP. `on_notice` hears which hosts come, go and connect. `tls` makes the control connections private;
    its clients need it as well. It counts in `counters`. `store`: the URL of a Redis or Valkey that it shares with other servers; `relay_address`: where
    their clients reach this one, if not where its own do. `alternate`: another
    address of this host and another port (0: any free one), for STUN alone (RFC 5780). `access` says who may register, and with whom. Returns at once; the server runs on the current event loop until its
    `close`. Raises `UsageError` if a port cannot be had, or a file of `tls` not be used; its kind
    `LocalAddressError` where time may cure that.
    """
    settings = affordable(settings or ServerSettings())
    securing = None if tls is None else ServerTls.of(tls)
    rng = rng or random.SystemRandom()
    possession = possession_by(rng, b"" if securing is None else securing.fingerprint)
    ports = (
        Ports.inherit(sockets)
        if sockets
        else Ports.bind([host] if isinstance(host, str) else host, port)
    )
    machine, share = machine_of(
        store, rng, settings, counters, possession, relay_address=relay_address
    )
    beside = None
    try:
        beside = None if alternate is None else AlternatePorts(ports, alternate)
        server = Server(machine, ports, on_notice or _ignore, settings, securing, alternate=beside)
        if share is not None:
            server.share(share)
    except BaseException:
        ports.close()
        if beside is not None:
            beside.close()
        raise
    server.restrict(access)
    await server.start()
    return server


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _ignore(notice: note.Notice) -> None:
    log.debug("%s", notice)
