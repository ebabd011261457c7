"""One host of a pair as the server knows it: its newest socket, its candidates, its round trip."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from nat_traversal.machine import events as e
from nat_traversal.server.allocation import Sightings
from nat_traversal.wire.addresses import is_elsewhere, is_private
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, NatTold, Register, Relaying, TurnPart
from nat_traversal.wire.offers import Offer
from nat_traversal.wire.samples import MOST_SAMPLES


class SocketState(Enum):
    """The server's knowledge of a host's newest socket."""

    AWAITED = auto()  # its announce is to come
    FRESH = auto()  # announced, and no round has used it
    USED = auto()  # a round has, or the host has closed it: the next round needs another


@dataclass(slots=True)
class Member:
    """One host of a pair, as the server knows it."""

    id: str
    connection: e.ConnectionId
    generation: int
    """The newest socket; 0: the host is connected already and wants no attempt."""
    round_trip: float
    """Seconds from the last order to the answer that it has been obeyed."""
    offer: Offer
    """Its offer for a round; the ephemeral key is that of the socket `told`."""
    told: int = field(init=False)
    """The newest socket of which the host has spoken over TCP, where nobody can replay it."""
    socket: SocketState = field(init=False)
    established: bool = field(init=False)
    """The host has a path, as far as it has told."""
    number: int = 0
    """Of the newest announce that counted."""
    candidates: tuple[Candidate, ...] = ()
    """Where its newest socket may be reached, the newest address of each kind."""
    hosts: tuple[Candidate, ...] | None = ()
    """Where its newest socket may be reached in its own network; None: the host has been asked."""
    heard_at: float = 0.0
    """When the last message came."""
    source: str = ""
    """The source (`source_of`) of its control connection; empty: not known."""
    via: str = ""
    """The server's address that the host has connected to; empty: it has not said."""
    local: e.LocalAddress | None = None
    """The server's address that the host's announces come to."""
    key: bytes = field(default=b"", repr=False)
    """Of the connection, 32 octets: signs its datagrams to the server."""
    relaying: Relaying = Relaying.NEVER
    relay_public: bytes = b""
    """The key for the next relayed path; empty while it is in use."""
    turn: TurnPart = TurnPart.NEVER
    was_seen: Endpoint | None = None
    """Where a socket of it was seen last: its address outlasts that socket."""
    methods: frozenset[str] = frozenset()
    """The further methods in which the host takes part."""
    own_port: tuple[int, int] = (0, 0)
    """A socket, and its port at the host itself; 0: not told."""
    keeps_port: bool | None = None
    """Whether one of its sockets was seen at its own port; None: not known. A NAT that keeps ports gives another one where
    two of its hosts have sockets at the same."""
    nat: NatTold | None = None
    """The host's own word about its NAT."""
    spare: tuple[int, int] = (0, 0)
    """A socket, and the own port of one beside it that has spoken to nobody."""
    is_measured: bool = False
    """`round_trip` is one that was measured."""
    sightings: Sightings = field(default_factory=Sightings)
    """The ports at which its sockets were seen."""
    sample_numbers: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    """Of the newest samples."""

    @classmethod
    def of(
        cls, register: Register, connection: e.ConnectionId, source: str, round_trip: float
    ) -> Member:
        """The host that has registered so by that connection from `source`; `round_trip` as long as none is measured."""
        return cls(
            *(register.id, connection, register.generation, round_trip, register.offer),
            source=source,
            via=register.via,
            key=register.key,
            relaying=register.relaying,
            relay_public=register.relay_public,
            methods=frozenset(register.methods),
            turn=register.turn,
        )

    def __post_init__(self) -> None:
        self.established = self.generation == 0
        self.told = self.generation
        self.socket = SocketState.USED if self.established else SocketState.AWAITED

    @property
    def process(self) -> tuple[str, bytes]:
        """The host's id, and the random name of its process."""
        return self.id, self.offer.instance

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The candidates' addresses and ports."""
        return tuple(candidate.endpoint for candidate in self.candidates)

    @property
    def is_ready(self) -> bool:
        """Its newest socket was seen, its key is known, and no round has used it."""
        is_told = self.told == self.generation and self.hosts is not None
        return self.socket is SocketState.FRESH and is_told

    def told_hosts(self, generation: int, candidates: tuple[Candidate, ...]) -> None:
        """Its answer to that question, for that socket: private addresses, and those of IPv6. No other goes on."""
        if generation == self.generation and self.hosts is None:
            self.hosts = tuple(
                replace(each, kind="host", validated=False)
                for each in candidates
                if is_elsewhere(each.endpoint.address)
                and (is_private(each.endpoint.address) or each.endpoint.family == 6)
            )

    def told_port(self, generation: int, port: int) -> None:
        """That socket's own port."""
        self.own_port = (generation, port)
        self._compare_ports()

    @property
    def spare_port(self) -> int | None:
        """The own port of the socket beside the newest one; None: not told."""
        generation, port = self.spare
        return port if generation == self.generation else None

    def _compare_ports(self) -> None:
        """Note whether the newest socket is seen at its own port."""
        generation, port = self.own_port
        seen = self.seen
        if generation == self.generation and port and seen is not None:
            self.keeps_port = bool(self.keeps_port) or seen.port == port

    def is_mapped(self, port: int) -> Candidate | None:
        """The router's `port` leads to the newest socket, at the address where the server sees that."""
        seen = self.seen
        if seen is None or (endpoint := Endpoint(seen.address, port)) in self.endpoints:
            return None
        others = tuple(known for known in self.candidates if known.kind != "mapped")
        mapped = Candidate("mapped", endpoint, validated=True)
        self.candidates = (*others, mapped)
        return mapped

    @property
    def seen(self) -> Endpoint | None:
        """Where its newest socket was seen, and has shown that it receives; None: nowhere yet."""
        shown = (each for each in self.candidates if each.kind == "srflx" and each.validated)
        return next((each.endpoint for each in shown), None)

    def announced(self, number: int, generation: int, seen: Candidate) -> bool:
        """An authentic announce came. False if it changes nothing: a replay, one of an older socket, or of one
        that the host has not spoken of."""
        if generation < self.generation or self.generation == 0:
            return False
        if number <= self.number or generation > self.told + 1:
            return False
        self.number, self.was_seen = number, seen.endpoint
        if generation > self.generation:
            self.candidates = ()
        if generation > self.generation or self.socket is SocketState.AWAITED:
            self.socket = SocketState.FRESH
        others = tuple(known for known in self.candidates if known.kind != seen.kind)
        if not self.is_validated(seen.endpoint):
            self.candidates = (*others, seen)
        self.generation = generation
        return True

    def sampled(self, number: int, generation: int) -> bool:
        """An authentic sample came. False if it tells nothing new: a replay, or one of an older socket."""
        if number <= self.number or number in self.sample_numbers or generation < self.generation:
            return False
        self.sample_numbers.append(number)
        return True

    def is_validated(self, endpoint: Endpoint) -> bool:
        """Whether the host has shown that it receives at this candidate."""
        return any(each.validated and each.endpoint == endpoint for each in self.candidates)

    def validate(self, endpoint: Endpoint) -> bool:
        """The host has echoed what was sent there. False if that is no news, or no candidate any more."""
        if endpoint not in self.endpoints or self.is_validated(endpoint):
            return False
        self.candidates = tuple(
            replace(each, validated=True) if each.endpoint == endpoint else each
            for each in self.candidates
        )
        self._compare_ports()
        return True

    def answered(self, round_trip: float) -> None:
        """It has obeyed an order, after so many seconds."""
        self.round_trip, self.is_measured = round_trip, True

    def opened(self, generation: int, public: bytes) -> None:
        """The host says that its socket `generation` is open, with that ephemeral key. Perhaps it has
        been announced already."""
        self.offer = replace(self.offer, public=public)
        self.told = generation
        if generation > self.generation:
            self.expect(generation)

    def expect(self, generation: int) -> None:
        """The host has no path, and announces the socket `generation`: perhaps it already has."""
        self.established, self.hosts = False, ()
        if generation != self.generation or self.socket is not SocketState.FRESH:
            self.generation, self.candidates = generation, ()
            self.socket = SocketState.AWAITED
