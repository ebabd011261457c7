"""The method `prediction`: a round in which a host speaks from many fresh sockets, to a port that its peer will have.

One of the sockets gets the port at which the peer aims; the first that hears the peer is the one. Until then each
says its first word once: a socket with another port will not be heard later either, and the server
orders another try with fresh ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.paths.budget import Remainder, TrafficBudget
from nat_traversal.paths.methods import handshake as h
from nat_traversal.paths.methods.method import HandshakeKeys, Output
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Datagram
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName


class Prediction(OrderedHello):
    """A `Method`. Its words come from what other rounds have left of the attempt's budget."""

    name = MethodName.PREDICTION.value

    def __init__(self, socket: UdpSocket, settings: ClientSettings) -> None:
        super().__init__(socket, settings)
        self._announced = socket
        self._open: tuple[UdpSocket, ...] = ()
        """Beside the announced one."""
        self._speaking: tuple[UdpSocket, ...] = (socket,)
        """Those that say the first words, in turn."""

    @property
    def further(self) -> tuple[UdpSocket, ...]:
        """The fresh sockets; once the peer was heard by one, that alone."""
        return self._open or self._spare

    @property
    def deadline(self) -> float | None:
        """When something has to be repeated."""
        handshake = self._handshake
        is_alone = len(self._speaking) == 1 and handshake and len(handshake.destinations) == 1
        return super().deadline if is_alone else None

    def start(
        self, start: m.StartRound, keys: HandshakeKeys, budget: TrafficBudget, now: float
    ) -> list[Output]:
        """The round begins: open the fresh sockets."""
        targets = [
            replace(each, endpoint=replace(each.endpoint, port=port))
            for each in start.candidates[:1]
            for port in start.ports
        ]
        start = replace(start, candidates=(*start.candidates, *targets))
        opened: list[Output] = []
        if start.sockets:
            self._open = self._speaking = self._announced.further(start.sockets)
            opened = [each.open() for each in self._open if each not in self._spare]
            self._spare = ()
        begun = super().start(start, keys, Remainder(budget), now)
        if self._handshake is not None:
            self._handshake.openers = len(self._speaking)
        return [*opened, *begun]

    def arrived(
        self, datagram: Datagram, source: Endpoint, generation: int, now: float
    ) -> list[Output]:
        """A datagram came in by one of the sockets: the first by which the peer is heard stays."""
        if self._handshake is None or self._is_heard():
            is_ours = generation == self._socket.generation
            return super().arrived(datagram, source, generation, now) if is_ours else []
        before, self._socket = self._socket, UdpSocket(generation)
        outputs = super().arrived(datagram, source, generation, now)
        if not self._is_heard():
            self._socket = before
            return outputs
        left = [each for each in self._open if each != self._socket]
        self._open = tuple(each for each in self._open if each == self._socket)
        self._speaking = (self._socket,)
        return [*outputs, *(each.close() for each in left)]

    def _send(self, said: Iterable[h.Output]) -> list[Output]:
        """From the socket that has heard the peer; before, from each of them in turn."""
        if self._is_heard():
            return super()._send(said)
        outputs: list[Output] = []
        usual = self._socket
        for index, each in enumerate(said):
            self._socket = self._speaking[index % len(self._speaking)]
            outputs += super()._send([each])
        self._socket = usual
        return outputs
