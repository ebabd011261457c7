"""The method `low-ttl`: a round like the contract's, before which each host opens its own NAT without reaching the other's.

On the server's order 0 a host finds out, from sockets that are for nothing else, at which hop a datagram to the peer ends
between the NATs. Then an opener with that many hops leaves from the announced socket. It makes the mapping, and no NAT of
the peer's sees it. So whichever HELLO comes first finds an open NAT.
"""

from __future__ import annotations

from nat_traversal.crypto.proof import signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.paths.budget import Remainder, TrafficBudget
from nat_traversal.paths.hops import Hops
from nat_traversal.paths.methods.method import HandshakeKeys, Order, Output
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Datagram, tag_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.opener import MOST_HOPS, OPENER_OCTETS, Opener

AGAIN_AFTER = 0.2
"""Seconds until the counts of which no router has told are tried once more."""
SEARCH_WITHIN = 0.6
"""Seconds for routers to answer: their way back may take 0.3 s, and a datagram may be lost."""


class LowTtl(OrderedHello):
    """A `Method`. Its words come from what other rounds have left of the attempt's budget."""

    name = MethodName.LOW_TTL.value

    def __init__(self, socket: UdpSocket, settings: ClientSettings) -> None:
        super().__init__(socket, settings)
        self._probes: tuple[UdpSocket, ...] = ()
        """One for each count of hops, while they are looked for."""
        self._search: _Search | None = None

    @property
    def further(self) -> tuple[UdpSocket, ...]:
        """The sockets that look for the hop."""
        return self._probes

    @property
    def deadline(self) -> float | None:
        """When routers have had their time, or something has to be repeated."""
        return super().deadline if self._search is None else self._search.deadline

    def start(
        self, start: m.StartRound, keys: HandshakeKeys, budget: TrafficBudget, now: float
    ) -> list[Output]:
        """The round begins, with the HELLOs that overtook the server's word of it."""
        self._start, self._keys, self._left = start, keys, Remainder(budget)
        return super().start(start, keys, self._left, now)

    def ordered(self, order: Order, now: float) -> list[Output]:
        """The server's order: openers first, a HELLO once both hosts' have left."""
        if not isinstance(order, m.SendHello) or order.step:
            return super().ordered(order, now)
        is_of_this_round = self._handshake is not None and (order.attempt, order.round) == (
            self._start.attempt,
            self._start.round,
        )
        if not is_of_this_round or self._search is not None or not self._start.candidates:
            return []
        to = self._start.candidates[0].endpoint
        self._search = _Search(order, to, now)
        self._probes = self._socket.further(MOST_HOPS)
        return [*(each.open() for each in self._probes), *self._look(self._search)]

    def arrived(
        self, datagram: Datagram, source: Endpoint, generation: int, now: float
    ) -> list[Output]:
        """A datagram came in by the announced socket; by another one none counts."""
        if generation != self._socket.generation:
            return []
        return super().arrived(datagram, source, generation, now)

    def hop_told(self, teller: str, generation: int) -> None:
        """A router says that a datagram of that socket has ended there."""
        if self._search is not None and UdpSocket(generation) in self._probes:
            hops = self._probes.index(UdpSocket(generation)) + 1
            self._search.hops.told(hops, teller)

    def due(self, now: float) -> list[Output]:
        """Ask the silent routers once more, or open; after that, say it again."""
        search = self._search
        if search is None:
            return super().due(now)
        if now < search.deadline:
            return []
        if not search.is_second:
            search.is_second, search.deadline = True, search.until
            return self._look(search)
        self._search = None
        closed = [each.close() for each in self._probes]
        self._probes = ()
        hops = search.hops.between
        opened: list[Output] = []
        if hops is not None and self._takes(search.to):
            opened = [self._opener(self._socket, search.to, hops)]
        told = m.HelloSent(search.order.transaction, opened=bool(opened))
        sought = note.HopSought(self._start.round, hops if opened else None, search.to)
        return [*closed, *opened, do.SendMessage(told), do.Tell(sought)]

    def _look(self, search: _Search) -> list[Output]:
        """A datagram that ends at each router of which nothing is known, as far as the budget goes."""
        return [
            self._opener(self._probes[hops - 1], search.to, hops)
            for hops in search.hops.missing
            if self._takes(search.to)
        ]

    def _takes(self, to: Endpoint) -> bool:
        return self._left.take(to, OPENER_OCTETS, is_opening=True)

    def _opener(self, socket: UdpSocket, to: Endpoint, hops: int) -> do.Action:
        opener = Opener(tag_of(self._start.token), self._start.round, hops)
        signed_opener = signed(opener, self._keys.sending)
        return socket.send_limited(signed_opener, to, hops, is_traced=socket != self._socket)


class _Search:
    """For the hop between the NATs, on the server's `order`, on the way to `to`."""

    def __init__(self, order: m.SendHello, to: Endpoint, now: float) -> None:
        self.order, self.to = order, to
        self.hops = Hops(to.address)
        self.deadline = now + AGAIN_AFTER
        self.until = now + SEARCH_WITHIN
        self.is_second = False
