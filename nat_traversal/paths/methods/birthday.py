"""The method `birthday`: one host speaks from many sockets, the other to many ports, until a word gets in.

`nat_traversal.wire.guessing` has the numbers. The prober, role A, speaks from its announced socket: HELLO 1 to each of many
random ports of the peer's address. The opener, role B, speaks from many fresh sockets:
HELLO 2 from each to the prober's one address and port. The socket that hears the peer stays, and the others close.

Nothing is said before both hosts have agreed. Each proves that with a MAC under the round's key, which no server has.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd

from nat_traversal.crypto.proof import is_mac, mac
from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.paths.budget import TrafficBudget
from nat_traversal.paths.methods import handshake as h
from nat_traversal.paths.methods.method import HandshakeKeys, Order, Output
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.paths.probing import ProbeBudget, pace
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import guessing
from nat_traversal.wire import messages as m
from nat_traversal.wire.addresses import octets_of
from nat_traversal.wire.datagrams import Datagram, Hello
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName


class Birthday(OrderedHello):
    """A `Method`. All that it says to the peer comes from a `ProbeBudget`; without one it takes no part."""

    name = MethodName.BIRTHDAY.value

    def __init__(self, socket: UdpSocket, settings: ClientSettings) -> None:
        super().__init__(socket, settings)
        self._announced = socket
        self._keys: HandshakeKeys | None = None
        self._budget: ProbeBudget | None = None
        self._has_agreed = False
        """The peer has."""
        self._open: dict[UdpSocket, h.Handshake] = {}
        """Beside the announced socket, each with the handshake of its own HELLO 2."""
        self._ports: list[int] = []
        """Those that the prober has not tried."""
        self._fresh: list[UdpSocket] = []
        """Those that the opener has not opened."""
        self._pace = pace()
        self._left = 0
        """Words of the present order that are still due."""
        self._next_at: float | None = None

    @property
    def further(self) -> tuple[UdpSocket, ...]:
        """The opener's sockets; once the peer was heard by one, that alone."""
        return tuple(self._open)

    @property
    def deadline(self) -> float | None:
        """When the next word is due, or once the peer was heard, has to be repeated."""
        return super().deadline if self._is_heard() else self._next_at

    def start(
        self, start: m.StartRound, keys: HandshakeKeys, budget: TrafficBudget, now: float
    ) -> list[Output]:
        """The round begins: say whether this side takes part."""
        start = replace(start, candidates=start.candidates[:1])
        if start.role is m.Role.B:
            self._early = []  # what the announced socket hears is of no use to its other ones
        began = super().start(start, keys, budget, now)
        self._keys = keys
        if not isinstance(budget, ProbeBudget) or not start.candidates or self.seen_at is None:
            return [*began, do.SendMessage(m.Agree(start.attempt, start.round))]
        self._budget = budget
        self._ports = _ports(mac(keys.secret, b"ports" + start.token))
        self._fresh = [*self._announced.further(guessing.SOCKETS)]
        proof = mac(keys.sending, _agreement(start, self.seen_at, start.candidates[0].endpoint))
        return [*began, do.SendMessage(m.Agree(start.attempt, start.round, proof))]

    def ordered(self, order: Order, now: float) -> list[Output]:
        """The peer's agreement, as the server hands it on, or an order, which counts only after it."""
        handshake, keys = self._handshake, self._keys
        if handshake is None or keys is None or self._budget is None or self.seen_at is None:
            return []
        start = handshake.start
        if (order.attempt, order.round) != (start.attempt, start.round):
            return []
        if isinstance(order, m.Agree):
            agreed = _agreement(start, start.candidates[0].endpoint, self.seen_at)
            self._has_agreed = is_mac(keys.receiving, agreed, order.mac)
            return [] if self._has_agreed else [do.Count(do.Fault.FORGED)]
        is_mine = order.step == (2 if self._is_opener else 1)
        if not self._has_agreed or not is_mine:
            return []
        if self._is_heard():
            return [do.SendMessage(m.HelloSent(order.transaction, heard=True))]
        # A prober's word to the one port that is known is the first of many.
        said = [] if self._is_opener else handshake.ordered(order.step, now)
        if said is None:
            return []
        self._obeyed = order
        self._left = guessing.SOCKETS if self._is_opener else guessing.PROBES
        return [*self._send(said), *self._go_on(now)]

    def arrived(
        self, datagram: Datagram, source: Endpoint, generation: int, now: float
    ) -> list[Output]:
        """A datagram came in by one of the sockets: the opener's first that hears the peer stays."""
        was_heard, before = self._is_heard(), (self._socket, self._handshake)
        if not was_heard and self._is_opener:
            self._socket = UdpSocket(generation)
            self._handshake = self._open.get(self._socket)
        is_ours = generation == self._socket.generation and self._handshake is not None
        if is_ours and not self._is_another(datagram, source):
            outputs = super().arrived(datagram, source, generation, now)
        else:
            outputs = []
        if was_heard:
            return outputs
        if not self._is_heard():
            self._socket, self._handshake = before
            return outputs
        return [*outputs, *self._settle()]

    def due(self, now: float) -> list[Output]:
        """The next words, or the last ones again."""
        return super().due(now) if self._is_heard() else self._go_on(now)

    def not_opened(self, generation: int) -> bool:
        """There was no room for that socket: those that are open have to do."""
        self._fresh.clear()
        self._left = min(self._left, 1)
        return self._open.pop(UdpSocket(generation), None) is not None

    def _is_another(self, datagram: Datagram, source: Endpoint) -> bool:
        """The prober has heard one of the opener's sockets, and this is from another: it is being closed."""
        handshake = self._handshake
        is_late = isinstance(datagram, Hello) and datagram.step == 2 and self._is_heard()
        return is_late and handshake is not None and source != handshake.remote

    def _go_on(self, now: float) -> list[Output]:
        """As many words as the pace allows now."""
        outputs: list[Output] = []
        while self._left and not self._is_heard():
            wait = self._pace.take(now)
            if wait:
                self._next_at = now + wait
                return outputs
            self._left -= 1
            outputs += self._open_one(now) if self._is_opener else self._probe_one()
        self._next_at = None
        return [*outputs, *self._told()]

    @property
    def _is_opener(self) -> bool:
        return self._handshake is not None and self._handshake.start.role is m.Role.B

    def _probe_one(self) -> list[Output]:
        """The prober's next port."""
        handshake = self._handshake
        if handshake is None or not self._ports:
            return []
        (named,) = handshake.start.candidates
        port = replace(named.endpoint, port=self._ports.pop())
        return [self._socket.send(said, to) for said, to in handshake.probe(port)]

    def _open_one(self, now: float) -> list[Output]:
        """The opener's next socket, and its word."""
        handshake, keys, budget = self._handshake, self._keys, self._budget
        if not self._fresh or handshake is None or keys is None or budget is None:
            return []
        socket = self._fresh.pop(0)
        # Each has nonces of its own, so that no two sockets say the same.
        own = mac(keys.secret, socket.generation.to_bytes(8))
        keys = replace(keys, secret=own)
        self._open[socket] = each = h.Handshake(handshake.start, keys, self._settings, budget)
        said = each.ordered(2, now) or []
        return [socket.open(), *(socket.send(word, to) for word, to in said)]

    def _settle(self) -> list[Output]:
        """The peer was heard: say so, and close what is not needed."""
        self._left, self._next_at = 0, None
        left = [each for each in self._open if each != self._socket]
        self._open = {each: own for each, own in self._open.items() if each == self._socket}
        return [*(each.close() for each in left), *self._told()]

    def _told(self) -> list[Output]:
        """The server's order has been obeyed, as far as it is of use."""
        order = self._obeyed
        return (
            []
            if order is None
            else [do.SendMessage(m.HelloSent(order.transaction, self._is_heard()))]
        )


def _agreement(start: m.StartRound, own: Endpoint, other: Endpoint) -> bytes:
    """The words to which a host says yes. The key is the round's, and the direction's.

    `own`: where the server says that it sees that host; `other`: where it says that the other one is. So a server has to tell both
    hosts the same, and a victim's address in the place of a host's has to be told to that host itself.
    """
    about = b"nat-traversal birthday" + start.token + bytes([start.round])
    return about + b"".join(
        octets_of(each.address) + each.port.to_bytes(2) for each in (own, other)
    )


def _ports(octets: bytes) -> list[int]:
    """The prober's ports, all of them different: evenly spaced by a step that follows from `octets`, as does the first.

    The NAT draws its ports at random, so any ports will do.
    """
    count = guessing.HIGHEST + 1 - guessing.LOWEST
    first, step = (int.from_bytes(part) for part in (octets[:4], octets[4:8]))
    while gcd(step, count) > 1:
        step += 1
    return [guessing.LOWEST + (first + step * index) % count for index in range(guessing.PROBES)]
