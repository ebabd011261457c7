"""A client of this server, as the other servers need to know it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from nat_traversal.machine.events import ConnectionId
from nat_traversal.server.cluster.words import Card, Shown
from nat_traversal.server.member import Member, SocketState
from nat_traversal.server.registry import EarlyAnnounce
from nat_traversal.wire import KEY_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import handle_of


class Stage(Enum):
    """How far a client has come."""

    WAITING = auto()  # the store's lost rows are shown again first
    CLAIMING = auto()  # the store is asked for its id
    CONTENDING = auto()  # another server has its id, and decides
    ADMITTED = auto()  # the id is this server's


@dataclass(slots=True, eq=False)
class Client:
    """One connection that has said REGISTER."""

    connection: ConnectionId
    register: m.Register
    address: str
    """Where it comes from; empty: not known."""
    since: float
    stage: Stage = Stage.WAITING
    early: EarlyAnnounce | None = None
    """Its announce, while it is not admitted."""
    card: Card | None = None
    """The one that the store has."""
    shown: Shown | None = None
    """The last word about its socket to the server that manages its pair."""
    abroad: str = ""
    """The server that manages its pair; empty: this one."""
    rival: str = ""
    """The server that has its id, while it contends."""
    is_busy: bool = False
    """An attempt abroad goes on."""
    met_at: float = 0.0
    """When its peer was found last."""

    @property
    def id(self) -> str:
        return self.register.id

    @property
    def peer(self) -> str:
        return self.register.peer

    def names(self, card: Card) -> bool:
        """Whether the two want each other."""
        return (self.id, self.peer) == (card.register.peer, card.register.id)

    def drawn(self, member: Member | None) -> Card:
        """Its card. `member`: what the machine knows of it; None: it is not admitted yet."""
        register = replace(self.register, key=bytes(KEY_BYTES), access=b"")
        if member is None:
            early, seen = self.early, None
            if early is not None and early.announce.generation == register.generation:
                seen = early.source
            return Card(register, self.address, seen)
        generation = 0 if member.established else member.told
        register = replace(
            *(register,),
            generation=generation,
            offer=member.offer,
            relay_public=member.relay_public,
        )
        is_used = member.socket is SocketState.USED and not member.established
        newest = _seen(member)
        if member.generation != member.told or newest is None or member.established:
            return Card(register, self.address, is_used=is_used)
        return Card(register, self.address, newest.endpoint, newest.validated, is_used)


class Clients:
    """All clients of a server, by connection and by the id that they want. It takes no longer with many of them."""

    def __init__(self) -> None:
        self._clients: dict[ConnectionId, Client] = {}
        self._by_id: dict[str, dict[ConnectionId, Client]] = {}
        self._by_handle: dict[bytes, Client] = {}

    def __iter__(self) -> Iterator[Client]:
        """Those that are here now, whatever comes of it."""
        return iter(list(self._clients.values()))

    def add(self, client: Client) -> None:
        """It has come."""
        self._clients[client.connection] = client
        self._by_id.setdefault(client.id, {})[client.connection] = client
        self._by_handle[handle_of(client.register.key)] = client

    def get(self, connection: ConnectionId) -> Client | None:
        """The one at that connection."""
        return self._clients.get(connection)

    def with_id(self, id_: str) -> list[Client]:
        """Those that have this id, or want it."""
        return list(self._by_id.get(id_, {}).values())

    def with_handle(self, handle: bytes) -> Client | None:
        """The one whose announces bear it."""
        return self._by_handle.get(handle)

    def remove(self, connection: ConnectionId) -> Client | None:
        """It has gone. None if it had before."""
        client = self._clients.pop(connection, None)
        if client is not None:
            same = self._by_id[client.id]
            del same[connection]
            if not same:
                del self._by_id[client.id]
            handle = handle_of(client.register.key)
            if self._by_handle.get(handle) is client:
                del self._by_handle[handle]
        return client


def shown_of(client: Client, member: Member) -> Shown | None:
    """The present word about its socket; None while it was not seen."""
    seen = _seen(member)
    if seen is None:
        return None
    mapped = next((each.endpoint.port for each in member.candidates if each.kind == "mapped"), 0)
    return Shown(client.connection, member.generation, seen.endpoint, seen.validated, mapped)


def _seen(member: Member) -> m.Candidate | None:
    """Where the server sees its newest socket, and whether it has shown that it receives there."""
    return next((each for each in member.candidates if each.kind == "srflx"), None)


def mirror(member: Member, message: m.Message) -> None:
    """A message between a client and the server that manages its pair means the same here."""
    match message:
        case m.StartRound():
            member.socket = SocketState.USED
        case m.Failed():
            member.socket, member.established = SocketState.USED, False
        case m.Established():
            member.established = True
        case m.OpenRelay() | m.OpenTurn():
            member.relay_public = b""
