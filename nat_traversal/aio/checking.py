"""A check of this host's NAT on asyncio: its sockets, its timer, and how this host reaches the server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import random
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from nat_traversal.aio.features import set_linux_option
from nat_traversal.aio.interfaces import source_towards
from nat_traversal.aio.nat64 import Edge, Nat64Finder
from nat_traversal.aio.packet_io import FAMILIES, endpoint_of, forbid_fragments, open_udp
from nat_traversal.aio.ping import ping
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.resolver import resolve
from nat_traversal.check import questions as q
from nat_traversal.check.judge import verdict
from nat_traversal.check.machine import Check
from nat_traversal.check.verdict import Verdict
from nat_traversal.errors import NatTraversalError, ServerUnreachableError, UsageError
from nat_traversal.settings import CheckSettings
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.nat_facts import NatFacts

log = logging.getLogger(__name__)

_BUFFER = 65_536
"""Octets asked of the kernel for each direction of a socket: a check has small datagrams and few."""
_ROUTES = Path("/proc/net/route")
_GATEWAY, _UP = 2, 1
"""Flags of a route (linux/route.h)."""
_IP_RECVERR, _IPV6_RECVERR = 11, 25
"""linux/in.h and in6.h; Python has no names for them before 3.14."""


async def check_nat(
    server: HostPort | None = None,
    *,
    lifetime: float = 0.0,
    settings: CheckSettings | None = None,
    brief: bool = False,
) -> Verdict:
    """Find out how this host's NAT behaves, by asking a STUN server (RFC 5780) and the router.

    `server`: one of this package, or any other; with two addresses it tells all. None: only the router is
    asked. `brief`: only mapping, filtering, order and allocation. `lifetime`: also find out how long mappings live, up to so many seconds, which takes as long.
    Raises `NameUnresolvedError`, and `ServerUnreachableError` where this host has no way there at all.
    """
    settings = settings or CheckSettings()
    known = q.Known(lifetime=lifetime, brief=brief, router=None if brief else router())
    edge = Edge()
    if server is not None:
        known.server, known.server_ipv6 = await _chosen(await resolve(server), edge)
        known.inside = own_address(edge.outside(known.server))
    elif known.router is not None:
        with contextlib.suppress(ServerUnreachableError):
            known.inside = own_address(Endpoint(known.router, 1))
    return await _Asking(known, settings, edge).run()


async def nat_facts(server: Endpoint) -> NatFacts | None:
    """The facts of this host's NAT for its peer, asked of a traversal server; None if it cannot be asked."""
    try:
        found = await check_nat(HostPort(server.address, server.port), brief=True)
    except NatTraversalError as error:
        log.debug("the NAT cannot be found out: %s", error)
        return None
    return found.facts


def router() -> str | None:
    """The address of the default IPv4 gateway; None where Linux knows none, and on other systems."""
    try:
        lines = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        _, destination, gateway, flags, *_ = line.split()
        if int(destination, 16) == 0 and int(flags, 16) & (_GATEWAY | _UP) == _GATEWAY | _UP:
            return socket.inet_ntoa(struct.pack("=I", int(gateway, 16)))
    return None


async def _chosen(addresses: Sequence[Endpoint], edge: Edge) -> tuple[Endpoint, Endpoint | None]:
    """The first to which this host has a way, and the first of the other IP version if that is IPv4. Where a NAT64 leads to
    IPv4, `edge` gets it: such an address of the server is asked, and those that a DNS64 has made of it are none of its own."""
    finder = Nat64Finder(Platform())
    try:
        found = await finder.way_to(addresses)
    finally:
        await finder.close()
    if found is not None:
        first, edge.way = found
    else:
        first = next((each for each in addresses if source_towards(each)), addresses[0])
    sixes = [each for each in addresses if each.family == 6 and edge.ipv4_of(each) == each]
    return first, sixes[0] if first.family == 4 and sixes else None


def own_address(towards: Endpoint) -> str:
    """This host's address from which packets go there. Nothing is sent."""
    try:
        with socket.socket(FAMILIES[towards.family], socket.SOCK_DGRAM) as sock:
            sock.connect(towards.sockaddr)
            return endpoint_of(sock.getsockname()).address
    except OSError as error:
        text = f"this host has no way to {towards}: {error.strerror or error}"
        raise ServerUnreachableError(text) from None


class _Asking:
    """Carries out the actions of one `Check`."""

    def __init__(self, known: q.Known, settings: CheckSettings, edge: Edge) -> None:
        self._edge = edge
        self._check = Check(known, random.SystemRandom(), settings)
        self._known = known
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[str, socket.socket] = {}
        self._events: list[q.Event] = []
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._tcp: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> Verdict:
        try:
            self._run(self._check.begin(self._loop.time()))
            await self._over
        finally:
            self._close()
        return verdict(self._known)

    def _feed(self, event: q.Event) -> None:
        """Events that come up while actions are carried out wait their turn."""
        self._events.append(event)
        if not self._busy:
            self._run([])

    def _run(self, actions: list[q.Action]) -> None:
        self._busy = True
        try:
            for action in actions:
                self._carry_out(action)
            while self._events:
                for action in self._check.handle(self._events.pop(0), self._loop.time()):
                    self._carry_out(action)
        except Exception as error:  # noqa: BLE001 - else whoever awaits the end would do so for ever
            if not self._over.done():
                self._over.set_exception(error)
        finally:
            self._busy = False
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._check.deadline()
        if deadline is not None and not self._over.done():
            self._timer = self._loop.call_at(deadline, self._feed, q.TimerFired())

    def _carry_out(self, action: q.Action) -> None:
        match action:
            case q.Open(name, family, fragments):
                self._open(name, family, may_fragment=fragments)
            case q.Send(name, octets, to):
                self._send(name, octets, to)
            case q.TryTcp(to):
                self._tcp = self._loop.create_task(self._try_tcp(to))
            case q.Finished() if not self._over.done():
                self._over.set_result(None)

    def _open(self, name: str, family: int, *, may_fragment: bool) -> None:
        try:
            address = self._known.inside
            family = 6 if self._edge.way is not None else family
            if (":" in address) != (family == 6):
                assert self._known.server_ipv6 is not None
                address = own_address(self._known.server_ipv6)
            sock = open_udp(Endpoint(address, 0), _BUFFER)
        except (OSError, UsageError, ServerUnreachableError) as error:
            self._feed(q.NotOpened(name, str(error)))
            return
        if not may_fragment:
            forbid_fragments(sock)
        elif name == "mapping":
            _hear_errors(sock)
        self._sockets[name] = sock
        self._loop.add_reader(sock, self._readable, name, sock)
        self._feed(q.Opened(name, endpoint_of(sock.getsockname())))

    def _send(self, name: str, octets: bytes, to: Endpoint) -> None:
        sock = self._sockets.get(name)
        if sock is None:
            return
        try:
            sock.sendto(octets, self._edge.outside(to).sockaddr)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self._feed(q.TooLong(name, len(octets)))
            else:
                log.debug("%s: nothing sent to %s: %s", name, to, error)

    def _readable(self, name: str, sock: socket.socket) -> None:
        while not self._over.done():
            try:
                octets, source = sock.recvfrom(65_536)
            except BlockingIOError:
                break
            except OSError as error:
                log.debug("%s: %s", name, error)
                if error.errno == errno.ECONNREFUSED:
                    self._feed(q.PortUnreachable(name))
            else:
                self._feed(q.Arrived(name, octets, self._edge.inside(endpoint_of(source))))
        _forget_errors(sock)

    async def _try_tcp(self, to: Endpoint) -> None:
        outcome, to = q.Tcp.SILENT, self._edge.outside(to)
        with socket.socket(FAMILIES[to.family], socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            try:
                async with asyncio.timeout(self._settings.tcp_within):
                    await self._loop.sock_connect(sock, to.sockaddr)
                outcome = q.Tcp.OPEN
            except ConnectionRefusedError:
                outcome = q.Tcp.REFUSED
            except (OSError, TimeoutError) as error:
                log.debug("TCP to %s: %s", to, error)
        echo = await ping(to.address, self._settings.interval, self._settings.tries)
        self._feed(q.TcpTried(outcome, echo))

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._tcp is not None:
            self._tcp.cancel()
        for sock in self._sockets.values():
            self._loop.remove_reader(sock)
            sock.close()


def _hear_errors(sock: socket.socket) -> None:
    """The kernel tells of ICMP errors: nobody listens there."""
    level, option = (
        (socket.IPPROTO_IPV6, _IPV6_RECVERR)
        if sock.family == socket.AF_INET6
        else (socket.IPPROTO_IP, _IP_RECVERR)
    )
    with contextlib.suppress(OSError):  # not Linux
        set_linux_option(sock, level, option, 1)


def _forget_errors(sock: socket.socket) -> None:
    """Empty the queue of errors, which would make the socket readable for ever."""
    with contextlib.suppress(OSError, AttributeError):
        while True:
            sock.recvmsg(1, 1024, socket.MSG_ERRQUEUE)
