"""STUN at a server's sockets: its own, and those of an alternate address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from nat_traversal.aio.packet_io import AnsweringSocket, Local, endpoint_of, open_udp
from nat_traversal.aio.ports import TRIES, Ports
from nat_traversal.errors import UsageError
from nat_traversal.machine.counters import Counters
from nat_traversal.server.stun import Alternate, StunAnswers
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import stun
from nat_traversal.wire.endpoint import Endpoint

log = logging.getLogger(__name__)

Send = Callable[[bytes, Endpoint, Local], None]


class StunService:
    """Answers what is STUN. `send` is the server's own way out; `alternate`: its sockets, if there are any."""

    def __init__(
        self,
        settings: ServerSettings,
        counters: Counters,
        send: Send,
        alternate: AlternatePorts | None = None,
    ) -> None:
        self._settings = settings
        self._send = send
        self._alternate = alternate
        self._answers = StunAnswers(
            settings, counters, None if alternate is None else alternate.alternate
        )
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(65_536))

    def start(self) -> None:
        """Read the alternate's sockets."""
        for udp in self._sockets:
            self._loop.add_reader(udp.sock, self._readable, udp)

    def close(self) -> None:
        """Free the alternate's ports."""
        for udp in self._sockets:
            self._loop.remove_reader(udp.sock)
        if self._alternate is not None:
            self._alternate.close()
        self._alternate = None

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other budgets."""
        self._settings = settings
        self._answers.reconfigure(settings)

    def arrived(self, request: bytes, source: Endpoint, at: Endpoint, local: Local) -> None:
        """A request came to a socket of the server that is bound to `at`."""
        alternate = self._alternate
        asked = at if alternate is not None and at == alternate.alternate.primary else None
        self._answer(request, source, asked, local)

    @property
    def _sockets(self) -> tuple[AnsweringSocket, ...]:
        return () if self._alternate is None else tuple(self._alternate.sockets.values())

    def _answer(
        self, request: bytes, source: Endpoint, asked: Endpoint | None, local: Local
    ) -> None:
        answer = self._answers.answer(request, source, self._loop.time(), asked)
        if answer is None:
            return
        sockets = {} if self._alternate is None else self._alternate.sockets
        own = None if answer.origin is None else sockets.get(answer.origin)
        if own is None:
            # The primary one, which a changed answer may leave from: it has that address.
            self._send(answer.octets, answer.destination, local if asked == answer.origin else None)
            return
        try:
            own.answer(answer.octets, answer.destination.sockaddr, None)
        except OSError as error:
            log.debug("no answer to %s: %s", answer.destination, error)

    def _readable(self, udp: AnsweringSocket) -> None:
        for _ in range(self._settings.datagram_burst):
            try:
                length, source, _ = udp.receive_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error for an earlier answer: no news
                log.debug("STUN: %s", error)
                continue
            if stun.is_stun(self._buffer[:length]):
                octets = bytes(self._buffer[:length])
                self._answer(octets, endpoint_of(source), udp.endpoint, None)


class AlternatePorts:
    """The three UDP sockets of an alternate address beside the server's own one."""

    def __init__(self, ports: Ports, other: Endpoint) -> None:
        """`other`: the other address and the other port (0: any free one). Raises `UsageError`."""
        primary = _primary(ports, other)
        self.sockets: dict[Endpoint, AnsweringSocket] = {}
        for left in reversed(range(TRIES)):
            try:
                found = self._bind(other).endpoint
                self._bind(Endpoint(other.address, primary.port))
                self._bind(Endpoint(primary.address, found.port))
            except UsageError:
                self.close()
                if (
                    other.port or not left
                ):  # one that is free at one address may be taken at another
                    raise
            else:
                self.alternate = Alternate(primary, found)
                return

    def close(self) -> None:
        """Free the ports."""
        for udp in self.sockets.values():
            udp.close()
        self.sockets.clear()

    def _bind(self, endpoint: Endpoint) -> AnsweringSocket:
        udp = AnsweringSocket(open_udp(endpoint, only_v6=True))
        self.sockets[udp.endpoint] = udp
        return udp


def _primary(ports: Ports, other: Endpoint) -> Endpoint:
    """The server's own endpoint that `other` stands beside."""
    alike = [udp for udp in ports.udp if udp.endpoint.family == other.family]
    if len(alike) != 1 or alike[0].is_wildcard:
        raise UsageError(
            f"--alternate {other} needs one address of the server to stand beside: "
            f"give --host with its one own IPv{other.family} address"
        )
    (primary,) = alike
    if primary.endpoint.address == other.address or primary.endpoint.port == other.port:
        raise UsageError(
            f"--alternate {other} has to differ from {primary.endpoint} in address and port: "
            "give another address of this host, and another port"
        )
    return primary.endpoint
