"""The connections to this server, and the ids and handles registered on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nat_traversal.machine import events as e
from nat_traversal.server.member import Member
from nat_traversal.server.possession import Question
from nat_traversal.server.rate import Allowance
from nat_traversal.server.session import Session, SessionState
from nat_traversal.server.store import Holder
from nat_traversal.server.trunks import trunk_of
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, handle_of
from nat_traversal.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Registration:
    """A connection's wish."""

    register: m.Register
    holder: Holder

    @property
    def handle(self) -> bytes:
        """Its announces bear it."""
        return handle_of(self.register.key)


@dataclass(slots=True, eq=False)
class Host:
    """One control connection, and what is known of the host at its other end."""

    connection: e.ConnectionId
    allowance: Allowance
    heard_at: float
    source: str = ""
    """Where it comes from (`source_of`); empty: not known."""
    registration: Registration | None = None
    """None until its REGISTER has come."""
    member: Member | None = None
    """None until the id is this host's."""
    session: Session | None = None
    """None while its peer is not here."""
    question: Question | None = None
    """The proof of possession that it has been asked for."""
    is_proven: bool = False
    """It has the key that it registers with."""
    is_mismatched: bool = False
    """Its peer is here, without the keys that it demands."""

    @property
    def id(self) -> str | None:
        """The id that it has, or wants."""
        return self.registration.register.id if self.registration else None

    @property
    def is_attempting(self) -> bool:
        """Whether an attempt goes on with its peer."""
        return self.session is not None and self.session.state is SessionState.ATTEMPTING


class Registry:
    """The tables of hosts: by connection all of them, by handle those that have registered, by id those
    that have their id. The last `kept_handles` of connections that have gone are kept: none comes twice."""

    def __init__(self, kept_handles: int) -> None:
        self.kept_handles = kept_handles
        self._spent: dict[bytes, None] = {}
        self._hosts: dict[e.ConnectionId, Host] = {}
        self._by_id: dict[str, dict[str, Host]] = {}
        """Of each id, those on one connection, by the peer that each wants."""
        self._by_handle: dict[bytes, Host] = {}
        self._unregistered: dict[e.ConnectionId, Host] = {}
        """The oldest first."""

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    @property
    def ids(self) -> frozenset[str]:
        """The ids that hosts have."""
        return frozenset(self._by_id)

    def add(self, host: Host) -> None:
        """A connection has come."""
        self._hosts[host.connection] = self._unregistered[host.connection] = host

    def get(self, connection: e.ConnectionId) -> Host | None:
        """The host at that connection; None once it has gone."""
        return self._hosts.get(connection)

    def with_id(self, host_id: str) -> list[Host]:
        """Those that have this id: one for each peer that the client wants, all on one connection."""
        return list(self._by_id.get(host_id, {}).values())

    def rivals(self, host: Host) -> list[Host]:
        """Those that have the id which `host` wants and are on another connection, or want its very peer. That one
        comes first: perhaps it is the same process, whose key tells so."""
        assert host.registration is not None
        register, trunk = host.registration.register, trunk_of(host.connection)
        those = self._by_id.get(register.id, {})
        rivals = [
            each
            for peer, each in those.items()
            if each is not host and (peer == register.peer or trunk_of(each.connection) != trunk)
        ]
        same = those.get(register.peer)
        return sorted(rivals, key=lambda each: each is not same)

    def with_handle(self, handle: bytes) -> Host | None:
        """The host that registered with the key of this handle; perhaps it has not got its id yet."""
        return self._by_handle.get(handle)

    def has_seen(self, handle: bytes) -> bool:
        """Whether a host has registered with the key of this handle. A second one repeats what it heard."""
        return handle in self._by_handle or handle in self._spent

    def oldest_unregistered(self) -> Host | None:
        """Of the connections on which no REGISTER has come, the one that came first."""
        return next(iter(self._unregistered.values()), None)

    def registered(self, host: Host, registration: Registration) -> None:
        """The host has said its wish, with a key that nobody has used."""
        host.registration = registration
        del self._unregistered[host.connection]
        self._by_handle[registration.handle] = host

    def admit(self, host: Host, member: Member) -> None:
        """The id is the host's from now on."""
        assert host.registration is not None
        host.member = member
        self._by_id.setdefault(member.id, {})[host.registration.register.peer] = host

    def remove(self, host: Host) -> None:
        """A connection has gone, and what was registered on it."""
        del self._hosts[host.connection]
        self._unregistered.pop(host.connection, None)
        if host.registration is None:
            return
        handle = host.registration.handle
        del self._by_handle[handle]
        self._spent[handle] = None
        while len(self._spent) > self.kept_handles:
            del self._spent[next(iter(self._spent))]
        if host.member is not None:
            those = self._by_id[host.member.id]
            del those[host.registration.register.peer]
            if not those:
                del self._by_id[host.member.id]


@dataclass(frozen=True, slots=True)
class EarlyAnnounce:
    """An announce whose registration is on its way over TCP."""

    announce: Announce
    source: Endpoint
    local: e.LocalAddress | None


class EarlyAnnounces:
    """The newest announce of each unknown handle: at most `most`, each for `within` seconds."""

    def __init__(self, most: int, within: float) -> None:
        self._most = most
        self._within = within
        self._kept: dict[bytes, tuple[EarlyAnnounce, float]] = {}

    def resize(self, most: int, within: float) -> None:
        """Other limits hold for what comes from now on."""
        self._most, self._within = most, within

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, early: EarlyAnnounce, now: float) -> None:
        """Keep one; the oldest makes room."""
        self._kept.pop(early.announce.handle, None)
        self._kept[early.announce.handle] = (early, now + self._within)
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def take(self, handle: bytes, now: float) -> EarlyAnnounce | None:
        """Take out what came with this handle, unless it is too old."""
        early, until = self._kept.pop(handle, (None, 0.0))
        return early if until >= now else None
