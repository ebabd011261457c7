"""The router of this host, asked to lead ports to sockets: PCP and NAT-PMP, then UPnP-IGD, on asyncio.

The router's word counts only from its own address, and requests go nowhere but there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

from nat_traversal.aio.checking import own_address, router
from nat_traversal.errors import NatTraversalError
from nat_traversal.mapping import upnp
from nat_traversal.mapping.answers import ASKED_LIFETIME
from nat_traversal.mapping.lease import Lease
from nat_traversal.mapping.pcp import NONCE_OCTETS
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.port_mapping import PORT, SSDP, MappingProtocol, question

log = logging.getLogger(__name__)

WITHIN = 2.0
"""Seconds for one answer by HTTP, or to a search."""
RELEASE_WITHIN = 0.5
"""Seconds for the router to take a mapping back when this process ends."""
_TRIES = 3
"""Ports that are tried where another host has the first."""
Told = Callable[[int | None], None]
"""Hears the router's port that leads to the socket, and None once it does not."""


class Gateway:
    """Keeps mappings of this host's UDP ports, each until `release` or `close`."""

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._knows: MappingProtocol | None = None
        """The protocol that worked last."""

    def map(self, port: int, told: Told) -> None:
        """Lead a port of the router to that port of this host, as long as it lasts. Where it led none before, ask anew."""
        if port not in self._tasks or self._tasks[port].done():
            self._tasks[port] = asyncio.get_running_loop().create_task(self._keep(port, told))

    def release(self, port: int) -> None:
        """Give it back."""
        task = self._tasks.pop(port, None)
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    async def close(self) -> None:
        """Give all back. It takes as long as the router, and `RELEASE_WITHIN` at most."""
        for port in list(self._tasks):
            self.release(port)
        if self._ending:
            await asyncio.wait(self._ending, timeout=RELEASE_WITHIN + 0.1)

    async def _keep(self, port: int, told: Told) -> None:
        at = _surroundings()
        if at is None:
            return
        try:
            if self._knows is not MappingProtocol.UPNP and await self._leased(at, port, told):
                return
            await self._mapped_by_upnp(at, port, told)
        except OSError as error:
            log.debug("the router maps no port: %s", error)

    # PCP and NAT-PMP

    async def _leased(self, at: _Surroundings, port: int, told: Told) -> bool:
        """Keep a mapping by one of them, if the router speaks it. False: it never granted one."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Queue[bytes](16)
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Asking(arrived), remote_addr=(at.router, PORT)
        )
        lease = Lease(at.inside, port, nonce=os.urandom(NONCE_OCTETS), suggested=_wish())
        shown: int | None = None
        granted = False
        try:
            _say(transport, lease.start(loop.time()))
            while lease.deadline is not None:
                try:
                    async with asyncio.timeout_at(lease.deadline):
                        _say(transport, lease.arrived(await arrived.get(), loop.time()))
                except TimeoutError:
                    _say(transport, lease.due(loop.time()))
                if lease.external != shown:
                    shown, self._knows = lease.external, lease.protocol
                    granted = True
                    told(shown)
        except asyncio.CancelledError:
            farewell = lease.release()
            _say(transport, farewell)
            if farewell:
                await _answered_or_late(arrived)
            raise
        finally:
            transport.close()
        log.debug("no mapping of port %d: %s", port, lease.problem)
        return granted

    # UPnP

    async def _mapped_by_upnp(self, at: _Surroundings, port: int, told: Told) -> None:
        service = await _service(at)
        if service is None:
            return
        external, lifetime = _wish(), ASKED_LIFETIME
        held: int | None = None
        try:
            for _ in range(_TRIES):
                status, text = await _ask(
                    service.place, upnp.add(service, at.inside, port, external, lifetime)
                )
                match status, upnp.error(text):
                    case 200, _:
                        held = external
                        break
                    case _, upnp.CONFLICT:
                        external = _wish()
                    case _, upnp.ONLY_PERMANENT:
                        lifetime = 0
                    case _, code:
                        log.debug("the router maps no port: UPnP error %d", code)
                        return
            if held is None:
                return
            self._knows = MappingProtocol.UPNP
            told(held)
            while True:
                await asyncio.sleep(ASKED_LIFETIME / 2)
                renewal = upnp.add(service, at.inside, port, held, lifetime)
                status, _ = await _ask(service.place, renewal)
                if status != 200:
                    told(None)
                    return
        finally:
            if held is not None:
                async with asyncio.timeout(RELEASE_WITHIN):
                    await _ask(service.place, upnp.remove(service, held))


@dataclass(frozen=True, slots=True)
class _Surroundings:
    router: str
    inside: str
    """This host's address towards it."""


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, arrived: asyncio.Queue[bytes]) -> None:
        self._arrived = arrived

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr  # the socket is connected: it is the router's
        if not self._arrived.full():
            self._arrived.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        log.debug("the router: %s", exc)


class _Search(asyncio.DatagramProtocol):
    """Waits for the first answer of the router to a search."""

    def __init__(self, router_address: str) -> None:
        self._router = router_address
        self.found: asyncio.Future[upnp.Place] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        place = upnp.description(data, self._router) if addr[0] == self._router else None
        if place is not None and not self.found.done():
            self.found.set_result(place)


def _surroundings() -> _Surroundings | None:
    address = router()
    if address is None:
        return None
    try:
        return _Surroundings(address, own_address(Endpoint(address, PORT)))
    except NatTraversalError:
        return None


def _wish() -> int:
    """A port that no NAT is likely to have given to this socket already: so a mapping shows that it is one."""
    return random.SystemRandom().randrange(20_000, 60_000)


def _say(transport: asyncio.DatagramTransport, said: list[bytes]) -> None:
    for datagram in said:
        transport.sendto(datagram)


async def _answered_or_late(arrived: asyncio.Queue[bytes]) -> None:
    try:
        async with asyncio.timeout(RELEASE_WITHIN):
            await arrived.get()
    except TimeoutError:
        log.debug("the router has not answered that a mapping is given back")


async def _service(at: _Surroundings) -> upnp.MappingService | None:
    """The router's service that maps ports, if it has one."""
    search, said = _Search(at.router), question(MappingProtocol.UPNP, at.inside)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: search, local_addr=(at.inside, 0), family=socket.AF_INET
    )
    try:
        transport.sendto(said, (SSDP.address, SSDP.port))
        place = await asyncio.wait_for(search.found, WITHIN)
        _, text = upnp.body(await _exchange(place, upnp.fetch(place)))
    except (TimeoutError, OSError) as error:
        log.debug("the router's UPnP: %s", error or "no answer")
        return None
    finally:
        transport.close()
    return upnp.mapping_service(text, place)


async def _ask(place: upnp.Place, request: bytes) -> tuple[int, str]:
    return upnp.body(await _exchange(place, request))


async def _exchange(place: upnp.Place, request: bytes) -> bytes:
    """One request by HTTP, and the answer, cut to what an answer may have. Raises `OSError` (a timeout is one)."""
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_connection(place.host, place.port)
        try:
            writer.write(request)
            answer = b""
            while len(answer) < upnp.MOST_OCTETS and (more := await reader.read(4096)):
                answer += more
            return answer
        finally:
            writer.close()
