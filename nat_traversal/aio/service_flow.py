"""One program of the other side at a service: where its datagrams go, and what comes back from where.

Its socket is connected to the service, so that ICMP errors arrive. Beside it an *ear* has the same port:
it hears what the service's host sends from elsewhere, as TFTP does (RFC 1350 section 4) and as services
do that are bound to no address of several. Nothing from another host is taken.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence

from nat_traversal.aio.ears import ear_of
from nat_traversal.aio.offload import RunSocket
from nat_traversal.aio.outbox import HEADROOM
from nat_traversal.aio.packet_io import (
    BATCH,
    LONGEST,
    Batch,
    open_udp,
    socket_address,
    wildcard,
)
from nat_traversal.aio.soft_errors import Lost
from nat_traversal.errors import UsageError
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.tray import Run, Tray

log = logging.getLogger(__name__)

SOCKETS = 2
"""Of each flow."""
PORTS_TRIED = 16
"""Ports that are asked of the kernel for one flow. Of its 28,000, fewer than a quarter are recalled."""
WAITING = 16
"""Datagrams kept for another address or port of the service until this one has answered."""

_Address = tuple[str, int] | tuple[str, int, int, int]


class ServiceFlow:
    """The flow `number` of the other side, to one address of the service.

    Raises `OSError` or `UsageError` where there is no socket for it or no way. `only`: the service has
    no other address. `recalls` tells the ports that it must not have. `failed` and `lost` have the errors of `send`, `receive` and `overheard`.
    """

    def __init__(
        self,
        number: int,
        target: Endpoint,
        tray: Tray,
        settings: ClientSettings,
        now: float,
        *,
        only: bool,
        recalls: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.number = number
        self.read_at = 0.0
        """When the service's datagrams were last looked for."""
        self.waiting: deque[bytes] = deque(maxlen=WAITING)
        """The latest datagrams, for another address; kept while this one has answered none."""
        self.failed: list[tuple[OSError, int]] = []
        """Datagrams that did not leave: why, and how many octets each has."""
        self.lost: list[Lost] = []
        self.settled = False
        """The service has answered from where it was asked: nothing will change any more."""
        self._only = only
        self._follow_within = settings.follow_within
        self._began_at = now
        self._asked_at: float | None = None
        self._confirmed = False
        self._follows = True
        self.sock = _open(target.family, settings.socket_buffer, recalls)
        try:
            self.sock.connect(socket_address(target))
            self._home: _Address = self.sock.getpeername()
            self._home_is_here = _is_here(self._home[0])
            self.ear = ear_of(self.sock, self.sock.getsockname(), settings.socket_buffer)
            """None where the kernel gives none."""
        except OSError:
            self.sock.close()
            raise
        self._at: _Address = self._home
        self._tray = tray
        self._io = RunSocket(
            self.sock,
            tray,
            self._failed,
            self.lost.append,
            headroom=HEADROOM,
            offload=bool(settings.offload),
        )

    @property
    def is_away(self) -> bool:
        """Datagrams go to a port from which the service has answered, not to its own."""
        return self._at != self._home

    def send(self, payloads: Sequence[memoryview], now: float) -> int:
        """Send datagrams to the service, as far as it takes them: how many. See to `lost` and `failed` then,
        before the others.

        As long as the service may turn out to be elsewhere, each has to be known to be refused or
        not before the next one leaves, so that all others still get there.
        """
        if self.settled or (self._only and not self.is_away):
            self._io.send_parts(payloads)
            return len(payloads)
        self._ask(now)
        count = 1 if now - self._began_at <= self._follow_within else len(payloads)
        self.waiting += map(bytes, payloads[:count][-WAITING:])
        self._io.send_parts(payloads[:count])
        return count

    def receive(self, most: int, *, again: bool) -> Batch:
        """Answers that have come from where datagrams go to, about `most`. `again`: some have come just now."""
        batch = self._io.receive(most, again=again)
        if batch.runs and not self.settled:
            self.waiting.clear()
            self.settled = not self.is_away
            self._confirmed = self._asked_at is not None
        return batch

    def overheard(self) -> tuple[Batch, list[_Address]]:
        """Datagrams that the service's host has sent from elsewhere, and the sources of datagrams that were dropped,
        since they came from other hosts."""
        assert self.ear is not None
        runs, strangers = list[Run](), list[_Address]()
        octets, at = self._tray.octets, HEADROOM
        while at <= LONGEST and len(runs) + len(strangers) < BATCH:
            try:
                length, source = self.ear.recvfrom_into(octets[at : at + LONGEST])
            except BlockingIOError:
                break
            except OSError as error:
                log.debug("UDP: %s", error)
                continue
            if source[0] != self._home[0] and not (self._home_is_here and _is_here(source[0])):
                strangers.append(source)
                continue
            runs.append(Run.between(self._tray, at, at + length, length))
            at += length
            self._heard_from(source)
        return Batch(runs, [], is_last=False, total=len(runs)), strangers

    def go_home(self) -> None:
        """Nobody is left where the service answered from: back to where it was asked first."""
        self._move(self._home)

    def give_up(self) -> socket.socket:
        """Close all but one socket, which keeps the port."""
        kept, *others = [each for each in (self.ear, self.sock) if each is not None]
        for sock in others:
            sock.close()
        return kept

    def close(self) -> None:
        for sock in (self.sock, self.ear):
            if sock is not None:
                sock.close()

    def _failed(self, error: OSError, datagram: memoryview) -> None:
        self.failed.append((error, len(datagram)))

    def _ask(self, now: float) -> None:
        """A datagram is about to go out. Does anybody listen at the port from which the service answered?"""
        if not self.is_away or self._confirmed:
            return
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > self._follow_within:
            self._follows = False
            self.go_home()

    def _heard_from(self, source: _Address) -> None:
        """The service has spoken from `source`: it goes on there, unless its own port answers too."""
        if source == self._home:
            self.go_home()
            self.settled = True
        elif not self.settled and not self.is_away and self._follows:
            self._move(source)
        self.waiting.clear()

    def _move(self, to: _Address) -> None:
        self._asked_at, self._confirmed = None, False
        if self._at == to:
            return
        try:
            self.sock.connect(to)
        except OSError as error:
            log.debug("no way to %s: %s", to, error)
        else:
            self._at = to


def _open(family: int, buffer: int, recalls: Callable[[int], bool]) -> socket.socket:
    """A socket at a port that is not recalled. Raises `OSError` or `UsageError`."""
    refused: list[socket.socket] = []
    try:
        for _ in range(PORTS_TRIED):
            sock = open_udp(wildcard(family), buffer)
            if not recalls(sock.getsockname()[1]):
                return sock
            refused.append(sock)  # open until another is found: the kernel would give the same one
        raise UsageError("late answers may still come to the ports that this host gives")
    finally:
        for sock in refused:
            sock.close()


def _is_here(address: str) -> bool:
    """Whether it is an address of this host."""
    if ipaddress.ip_address(address).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # UDP: nothing is sent
        except OSError:
            return False
        here: str = probe.getsockname()[0]
    return here == address  # the kernel speaks to its own addresses from themselves
