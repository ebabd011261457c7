"""A NAT as a pure value machine: RFC 4787's behaviours, and the order-sensitive quirk.

It shares no code with the firewall rules, so that one can be held against the other. It has no I/O
and no clock, and takes its randomness from the caller.
"""

from __future__ import annotations

import heapq
import itertools
import random
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from nat_traversal.wire.behavior import Hairpin, Mapping, PortAllocation, Refresh
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior, Pooling, Unsolicited, pool
from natlab.oracle.held import HeldMapping, Key, key_of, touch
from natlab.oracle.places import Places
from natlab.oracle.pooling import paired_place
from natlab.terms import AfterError, Parity

_PORTS = range(1024, 65536)
"""Where stock Linux looks for a port when it cannot keep one above 1023."""
_BLOCK = 1024
"""Ports that `block-per-host` gives an internal address: those after this times its last number."""
_SUBSCRIBERS, _ANYWHERE = "0.0.0.17", Endpoint("192.0.2.0", 9)
"""Where other subscribers' datagrams come from, and where they go."""


class Admission(StrEnum):
    """The fate of a packet that arrived from outside."""

    DELIVERED = "delivered"
    NO_MAPPING = "no-mapping"
    """Dropped: no internal endpoint has this external port."""
    FILTERED = "filtered"
    """Dropped: the internal endpoint has not sent to this source (RFC 4787 section 5)."""
    TAKEN_BY_ROUTER = "taken-by-router"
    """The order-sensitive NAT took it as its own, and answers with ICMP port unreachable."""
    REJECTED = "rejected"
    """As `no-mapping` and `filtered`, answered with ICMP port unreachable."""
    BLOCKED = "blocked"
    """This NAT lets no UDP through."""
    NOT_HAIRPINNED = "not-hairpinned"
    """Came from inside to an external endpoint of a NAT that does not hairpin."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`admission`, and the internal endpoint that a delivered packet went to (else None)."""

    admission: Admission
    internal: Endpoint | None = None

    @property
    def is_answered(self) -> bool:
        """By an ICMP error."""
        return self.admission in {Admission.TAKEN_BY_ROUTER, Admission.REJECTED}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a NAT's table: a mapping and its filter, or a 5-tuple that the router holds for itself.

    A remote side is an address and a port, each empty or 0 where it does not matter.
    """

    internal: Endpoint | None
    """None: the router's own."""
    port: int
    """The external one."""
    towards: tuple[str, int]
    """The remote side for which the mapping is; of the router's own, the one that it was taken from."""
    admits: tuple[tuple[str, int], ...]
    """The remote sides that are let in."""


class NoRoomError(RuntimeError):
    """The NAT drops a packet from inside: it has as many sessions as it may have, or no free port."""


class ModelNat:
    """One NAT with one public address. `behavior` None is a public host: nothing is changed.

    Filters are kept per mapping. Mappings, filters, sessions and bookings end `timeout` seconds (None:
    the behaviour's lifetime) after the last packet of a direction that refreshes them. Other subscribers
    (`NatBehavior.background`) send from the first packet on, at random moments.
    """

    def __init__(
        self,
        behavior: NatBehavior | None,
        public_address: str,
        rng: random.Random,
        timeout: float | None = None,
    ) -> None:
        self.behavior = behavior
        self.public_address = public_address
        self._rng = rng
        lifetime = behavior.lifetime if behavior else inf
        self._timeout = lifetime if timeout is None else timeout
        self._sessions = Places(behavior, self._timeout) if behavior and behavior.sessions else None
        self._next_port = _PORTS[0]
        self._next_draw = 0
        """The port that is taken next where chance decides; 0: any."""
        self._mappings: dict[tuple[Endpoint, Key], HeldMapping] = {}
        self._by_port: dict[int, HeldMapping] = {}
        """The same, each by its external port."""
        self._looks: list[tuple[float, int, tuple[Endpoint, Key]]] = []
        """A heap: of each mapping, a moment before which nothing of it was used."""
        self._order = itertools.count()
        self._forwarded: dict[int, Endpoint] = {}
        """The internal endpoint of each port that was asked for."""
        self._visitors: dict[tuple[Endpoint, Endpoint], int] = {}
        """That port, by the internal endpoint and whoever has come by it."""
        self._booked: dict[tuple[int, Endpoint], float] = {}
        self._addresses = pool(behavior, public_address) if behavior else (public_address,)
        self._next_address = 0
        self._foreign: dict[int, float] = {}
        """External ports of other subscribers, and when each began."""
        self._foreign_next: float | None = None
        self._kept_from = -inf
        """Nothing that is kept was used before this moment."""

    def outbound(self, source: Endpoint, destination: Endpoint, now: float = 0.0) -> Endpoint:
        """The source that a packet from inside has outside. `now` is in seconds and never falls.

        Raises `NoRoomError` if the NAT drops it.
        """
        if self.behavior is None:
            return source
        self._expire(now)
        if (port := self._visitors.get((source, destination))) is not None:
            return Endpoint(self.public_address, port)
        if self._sessions is not None and not self._sessions.seat((source, destination), now):
            raise NoRoomError(f"the NAT at {self.public_address} has no room for another session")
        return self._translate(source, destination, now)

    def _translate(self, source: Endpoint, destination: Endpoint, now: float) -> Endpoint:
        assert self.behavior is not None
        general = (source, key_of(self.behavior.mapping, destination))
        exact = (source, key_of(Mapping.ADDRESS_AND_PORT_DEPENDENT, destination))
        mapping = self._mappings.get(exact) or self._mappings.get(general)
        if mapping is None:
            port = self._allocate(self.behavior.allocation, source, destination)
            mapping = self._map(general, HeldMapping(source, self._address(source), port, now))
        if (mapping.port, destination) in self._booked:
            # The 5-tuple belongs to the router: this flow alone gets another port.
            port = self._random_port(destination, _PORTS)
            mapping = self._map(exact, HeldMapping(source, mapping.address, port, now))
        refreshes = self.behavior.refresh is not Refresh.ABSOLUTE
        touch(mapping, key_of(self.behavior.filtering, destination), now, refreshes)
        # Somebody may have given it another first address meanwhile.
        address = mapping.address if self._addresses[1:] else self.public_address
        return Endpoint(address, mapping.port)

    def _map(self, key: tuple[Endpoint, Key], mapping: HeldMapping) -> HeldMapping:
        """Keep it. Its port is free."""
        self._mappings[key] = self._by_port[mapping.port] = mapping
        heapq.heappush(self._looks, (mapping.used, next(self._order), key))
        return mapping

    def change_address(self, address: str) -> None:
        """Its first external address is another one from now on, also for the mappings that it has."""
        for held in self._mappings.values():
            held.address = address if held.address == self.public_address else held.address
        self.public_address, self._addresses = address, (address, *self._addresses[1:])

    def forget(self) -> None:
        """As a reboot: no mapping is left."""
        self._mappings.clear()
        self._by_port.clear()
        self._looks.clear()

    def others_took(self, port: int) -> None:
        """Of a NAT with ports in sequence: others have taken all before `port`, which is the next. From then on
        they take ports only where this is called."""
        if self.behavior and self.behavior.allocation is PortAllocation.SEQUENTIAL:
            self._next_port = port
            self._foreign, self._foreign_next = {}, inf

    def draws(self, port: int) -> None:
        """The next port that it takes at random is this one, if it may be and is free."""
        self._next_draw = port

    def knows(self, source: Endpoint, destination: Endpoint) -> bool:
        """A packet that leaves so needs no new mapping."""
        if self.behavior is None:
            return True
        keys = (self.behavior.mapping, Mapping.ADDRESS_AND_PORT_DEPENDENT)
        return any((source, key_of(each, destination)) in self._mappings for each in keys)

    def inbound(self, source: Endpoint, destination: Endpoint, now: float = 0.0) -> Endpoint | None:
        """Where a packet from outside goes inside, or None if it does not get in."""
        return self.judge(source, destination, now).internal

    def forward(self, internal: Endpoint, port: int = 0) -> Endpoint:
        """Lead an external port to `internal`, for whoever sends there; 0: any that is not led elsewhere."""
        port = port or next(each for each in reversed(_PORTS) if each not in self._forwarded)
        self._forwarded[port] = internal
        return Endpoint(self.public_address, port)

    def judge(self, source: Endpoint, destination: Endpoint, now: float = 0.0) -> Verdict:
        """As `inbound`, with what happened. It changes state: call one of the two, once a packet."""
        if self.behavior is None:
            return Verdict(Admission.DELIVERED, destination)
        if self.behavior.blocks_udp:
            return Verdict(Admission.BLOCKED)
        self._expire(now)
        asked_for = self._forwarded.get(destination.port) if self._is_mine(destination) else None
        if asked_for is not None:
            self._visitors[asked_for, source] = destination.port
            return Verdict(Admission.DELIVERED, asked_for)
        mapping = self._at(destination.port) if self._is_mine(destination) else None
        if mapping is not None and self._addresses[1:] and mapping.address != destination.address:
            mapping = None
        key = key_of(self.behavior.filtering, source)
        booking = (destination.port, source)
        is_open = mapping is not None and key in mapping.permitted and booking not in self._booked
        if is_open and self._sessions is not None and mapping is not None:
            is_open = self._sessions.admits((mapping.internal, source), now)
        if is_open and mapping is not None:
            if self.behavior.refresh is Refresh.BOTH:
                touch(mapping, key, now, refreshes=True)
            return Verdict(Admission.DELIVERED, mapping.internal)
        if self.behavior.unsolicited is Unsolicited.ORDER_SENSITIVE and self._is_mine(destination):
            self._booked[booking] = now
            return Verdict(Admission.TAKEN_BY_ROUTER)
        if self.behavior.unsolicited is Unsolicited.REJECT:
            return Verdict(Admission.REJECTED)
        return Verdict(Admission.NO_MAPPING if mapping is None else Admission.FILTERED)

    def hears_error(self, source: Endpoint, destination: Endpoint) -> None:
        """An ICMP error came about what left as `source` for `destination`."""
        closes = self.behavior is not None and self.behavior.after_error is AfterError.CLOSES
        mapping = self._at(source.port) if self._is_mine(source) else None
        if closes and self.behavior is not None and mapping is not None:
            mapping.permitted.pop(key_of(self.behavior.filtering, destination), None)

    def hairpin(
        self, source: Endpoint, destination: Endpoint, now: float = 0.0
    ) -> tuple[Endpoint, Verdict]:
        """The fate of a packet from inside to this NAT's own address, and its source there.

        With the internal source there is nothing to filter by: it reaches every mapping there is.
        """
        if self.behavior is None or self.behavior.hairpin is Hairpin.NONE:
            return source, Verdict(Admission.NOT_HAIRPINNED)
        if self.behavior.hairpin is Hairpin.EXTERNAL_SOURCE:
            self._expire(now)
            shown = self._translate(source, destination, now)
            return shown, self.judge(shown, destination, now)
        self._expire(now)
        mapping = self._at(destination.port)
        if mapping is None:
            return source, Verdict(Admission.NO_MAPPING)
        return source, Verdict(Admission.DELIVERED, mapping.internal)

    def table(self, now: float) -> tuple[Entry, ...]:
        """All that it remembers at `now`: mappings with their filters in order, then what the router holds."""
        if self.behavior is None:
            return ()
        self._expire(now)
        mappings = [
            Entry(held.internal, held.port, towards, tuple(held.permitted))
            for (_, towards), held in self._mappings.items()
        ]
        booked = [
            Entry(None, port, (remote.address, remote.port), ()) for port, remote in self._booked
        ]
        return (*mappings, *booked)

    def _is_mine(self, destination: Endpoint) -> bool:
        # Somebody may have given it another first address.
        address = destination.address
        return address == self.public_address or address in self._addresses[1:]

    def _address(self, source: Endpoint) -> str:
        """The external address of a new mapping."""
        assert self.behavior is not None
        if not self._addresses[1:]:
            return self.public_address
        if self.behavior.pooling is Pooling.PAIRED:
            return self._addresses[paired_place(source.address, len(self._addresses))]
        place = self._next_address
        self._next_address = (place + 1) % len(self._addresses)
        return self._addresses[place]

    def _let_others_send(self, now: float) -> None:
        """Count other subscribers' datagrams until `now`, each from a new endpoint."""
        assert self.behavior is not None
        rate = self.behavior.background
        if self._foreign_next is None:
            self._foreign_next = now + self._rng.expovariate(rate)
        while self._foreign_next <= now:
            then = self._foreign_next
            self._foreign_next += self._rng.expovariate(rate)
            if (
                then < now - self._timeout
                and self.behavior.allocation is not PortAllocation.SEQUENTIAL
            ):
                continue  # ended by now
            inside = Endpoint(_SUBSCRIBERS, self._rng.choice(_PORTS))
            if self._sessions is not None and not self._sessions.seat((inside, _ANYWHERE), then):
                continue
            with suppress(NoRoomError):
                port = self._allocate(self.behavior.allocation, inside, _ANYWHERE)
                self._foreign[port] = then

    def _at(self, port: int) -> HeldMapping | None:
        return self._by_port.get(port)

    def _is_taken(self, port: int) -> bool:
        return port in self._by_port or port in self._foreign

    def _allocate(self, how: PortAllocation, source: Endpoint, destination: Endpoint) -> int:
        """The port of a new mapping, which no other has."""
        match how:
            case PortAllocation.PRESERVING | PortAllocation.RANDOM:
                keeps = how is PortAllocation.PRESERVING and not self._is_taken(source.port)
                return source.port if keeps else self._random_port(destination, self._of(source))
            case PortAllocation.SEQUENTIAL:
                port = self._first_free(_PORTS, self._next_port - _PORTS[0], destination)
                self._next_port = port + 1
                return port
            case PortAllocation.BLOCK_PER_HOST:
                first = _BLOCK * int(source.address.rpartition(".")[2])
                return self._random_port(destination, range(first, first + _BLOCK))

    def _of(self, source: Endpoint) -> range:
        """The ports that are for an internal endpoint."""
        assert self.behavior is not None
        if self.behavior.parity is Parity.KEPT:
            return range(_PORTS.start + source.port % 2, _PORTS.stop, 2)
        return _PORTS

    def _random_port(self, destination: Endpoint, ports: range) -> int:
        drawn, self._next_draw = self._next_draw, 0
        start = ports.index(drawn) if drawn in ports else self._rng.randrange(len(ports))
        return self._first_free(ports, start, destination)

    def _first_free(self, ports: range, start: int, destination: Endpoint) -> int:
        """From index `start` on, and around."""
        for offset in range(len(ports)):
            port = ports[(start + offset) % len(ports)]
            if not self._is_taken(port) and (port, destination) not in self._booked:
                return port
        raise NoRoomError(f"the NAT at {self.public_address} has no free port left")

    def _expire(self, now: float) -> None:
        if self.behavior is not None and self.behavior.background:
            self._let_others_send(now)
        oldest = now - self._timeout
        if oldest <= self._kept_from:
            return
        self._booked = {key: used for key, used in self._booked.items() if used >= oldest}
        while self._looks and self._looks[0][0] < oldest:
            self._look(heapq.heappop(self._looks)[2], oldest)
        ended = list(itertools.takewhile(lambda each: each[1] < oldest, self._foreign.items()))
        for port, _ in ended:  # they began in this order
            del self._foreign[port]
        kept = [*self._booked.values(), *(first for first, *_ in self._looks[:1])]
        kept += [made for _, made in itertools.islice(self._foreign.items(), 1)]
        self._kept_from = min(kept, default=now)

    def _look(self, key: tuple[Endpoint, Key], oldest: float) -> None:
        """End the mapping of `key`, or those of its filters, that were used last before `oldest`."""
        held = self._mappings[key]
        if held.used < oldest:
            del self._mappings[key], self._by_port[held.port]
            return
        held.permitted = {each: used for each, used in held.permitted.items() if used >= oldest}
        first = min(held.permitted.values(), default=held.used)
        heapq.heappush(self._looks, (min(first, held.used), next(self._order), key))
