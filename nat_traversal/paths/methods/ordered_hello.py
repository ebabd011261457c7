"""The method `ordered-hello`: HELLOs in the order that the server gives, one `Handshake` a round.

It keeps HELLOs that come too early, obeys orders, tells what was heard, and says when there is proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.budget import TrafficBudget
from nat_traversal.paths.methods import handshake as h
from nat_traversal.paths.methods.method import HandshakeKeys, Order, Output, Proven
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.addresses import is_private
from nat_traversal.wire.datagrams import Confirm, Datagram, Hello
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName


class OrderedHello:
    """A `Method`: the contract's steps 4 to 6, and the proof after them."""

    name = MethodName.ORDERED_HELLO.value
    """`host`, `ipv6` or `port-mapping` once the path stands by such a candidate."""

    def __init__(self, socket: UdpSocket, settings: ClientSettings) -> None:
        self._socket = socket
        self._settings = settings
        self._handshake: h.Handshake | None = None
        self._obeyed: m.SendHello | None = None
        self._early: list[tuple[Hello, Endpoint]] = []
        self._proof_told = False
        self.is_mapped = False
        self.seen_at: Endpoint | None = None
        """A port of this host's router leads to the socket."""
        self._spare: tuple[UdpSocket, ...] = ()
        """One beside the announced socket that has spoken to nobody, if the server has wanted one."""
        self._counted = (0, 0)
        """Forged and replayed datagrams of this round that were counted."""

    @classmethod
    def after(cls, waiting: OrderedHello) -> Self:
        """The method of a round, in the place of what has waited for it."""
        method = cls(waiting._socket, waiting._settings)
        method._early, method.is_mapped = waiting._early, waiting.is_mapped
        method._spare = waiting._spare
        return method

    def open_spare(self) -> UdpSocket:
        """The server wants one more socket, which speaks to nobody yet. The caller opens it."""
        self._spare = self._socket.further(1)
        return self._spare[0]

    @property
    def further(self) -> tuple[UdpSocket, ...]:
        """The announced socket is all that a round takes, but one may be at hand."""
        return self._spare

    @property
    def peer_has_proof(self) -> bool:
        """The peer has sent what only a host with proof sends."""
        return self._handshake is not None and self._handshake.peer_has_proof

    def _is_heard(self) -> bool:
        """The peer was, by this round's key."""
        return self._handshake is not None and self._handshake.remote is not None

    @property
    def forged(self) -> int:
        """How many datagrams of this round came that the peer's key has not made."""
        return self._handshake.forged if self._handshake else 0

    @property
    def deadline(self) -> float | None:
        """When something has to be repeated."""
        return self._handshake.deadline if self._handshake else None

    def start(
        self, start: m.StartRound, keys: HandshakeKeys, budget: TrafficBudget, now: float
    ) -> list[Output]:
        """The round begins, with the HELLOs that overtook the server's word of it."""
        self._handshake = handshake = h.Handshake(start, keys, self._settings, budget)
        began = note.RoundStarted(start.attempt, start.round, start.role, start.candidates)
        outputs: list[Output] = [*(each.close() for each in self._spare), do.Tell(began)]
        self._spare = ()
        for hello, source in self._early:
            outputs += self._hello_arrived(handshake, hello, source, now)
        return outputs + self._faults(handshake)

    def not_opened(self, generation: int) -> bool:
        """A round needs every socket that it opens."""
        del generation
        return False

    def ordered(self, order: Order, now: float) -> list[Output]:
        """The server's order, if it is one of this round and makes sense in it."""
        handshake = self._handshake
        if handshake is None or not isinstance(order, m.SendHello):
            return []
        start = handshake.start
        if (order.attempt, order.round) != (start.attempt, start.round):
            return []
        said = handshake.ordered(order.step, now)
        if said is None:
            return []
        self._obeyed = order
        heard = bool(handshake.heard_steps)
        return [*self._send(said), do.SendMessage(m.HelloSent(order.transaction, heard))]

    def arrived(
        self, datagram: Datagram, source: Endpoint, generation: int, now: float
    ) -> list[Output]:
        """A datagram of the peer, or what somebody made look like one."""
        del generation  # a round has one socket
        handshake = self._handshake
        match datagram:
            case Hello() if handshake is None:
                self._early = [*self._early, (datagram, source)][-self._settings.early_hellos :]
                return []
            case Hello() if handshake is not None:
                outputs = self._hello_arrived(handshake, datagram, source, now)
                return outputs + self._faults(handshake)
            case Confirm() if handshake is not None:
                said = self._send(handshake.confirm_arrived(datagram, source) or ())
                return said + self._proof(handshake) + self._faults(handshake)
        return []

    def due(self, now: float) -> list[Output]:
        """Say it again."""
        return self._send(self._handshake.repeat(now)) if self._handshake else []

    def added(self, candidates: tuple[m.Candidate, ...], now: float) -> list[Output]:
        """The peer may be reached there as well."""
        del now
        return self._send(self._handshake.added(candidates)) if self._handshake else []

    def hop_told(self, teller: str, generation: int) -> None:
        """Nothing is sent that ends on its way."""

    def hold(self, now: float) -> None:
        """Another round has proof: repeat nothing for one interval."""
        if self._handshake is not None:
            self._handshake.hold(now)

    def _hello_arrived(
        self, handshake: h.Handshake, hello: Hello, source: Endpoint, now: float
    ) -> list[Output]:
        is_news = hello.step not in handshake.heard_steps
        said = handshake.hello_arrived(hello, source, now)
        if said is None:
            return []
        outputs: list[Output] = []
        if is_news:
            outputs.append(do.Tell(note.HelloCameIn(hello.round, hello.step, source)))
            if hello.step == 2 and self._obeyed is not None and self._obeyed.step == 3:
                # The server has waited for this round's proof since its order: it is on its way.
                outputs.append(do.SendMessage(m.HelloSent(self._obeyed.transaction, heard=True)))
        return outputs + self._send(said) + self._proof(handshake)

    def _faults(self, handshake: h.Handshake) -> list[Output]:
        """Count the datagrams that were dropped since the last call."""
        forged, replayed = self._counted
        self._counted = handshake.forged, handshake.replayed
        return [
            *[do.Count(do.Fault.FORGED)] * (handshake.forged - forged),
            *[do.Count(do.Fault.REPLAYED)] * (handshake.replayed - replayed),
        ]

    def _proof(self, handshake: h.Handshake) -> list[Output]:
        """The result, once: where the peer hears this socket and is heard from."""
        proven = handshake.state is h.HandshakeState.ESTABLISHED
        remote, connection = handshake.remote, handshake.peer_connection
        if self._proof_told or not proven or remote is None or connection is None:
            return []
        self._proof_told = True
        self.name = self._rung(handshake.kind_of(remote), remote)
        return [Proven(NominatedPair(self._socket, remote, connection))]

    def _rung(self, kind: str, remote: Endpoint) -> str:
        """The name of a path to `remote`, a candidate of that kind."""
        if kind == "host":
            is_ipv6 = remote.family == 6 and not is_private(remote.address)
            return (MethodName.IPV6 if is_ipv6 else MethodName.HOST).value
        if kind == "mapped" or self.is_mapped:
            return MethodName.PORT_MAPPING.value
        return self.name

    def _send(self, said: Iterable[h.Output]) -> list[Output]:
        outputs: list[Output] = []
        for datagram, destination in said:
            outputs.append(self._socket.send(datagram, destination))
            if isinstance(datagram, Hello) and datagram.copy == 0:
                outputs.append(
                    do.Tell(note.HelloWentOut(datagram.round, datagram.step, destination))
                )
        return outputs
