"""The server as a machine without I/O: who is registered, who is alive, who wants whom.

What a pair does is in `session`. Every table here has a cap and an expiry.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nat_traversal.machine import events as e
from nat_traversal.machine.timers import Timers
from nat_traversal.server.session import Member, Session
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.datagrams import Announce, Announced
from nat_traversal.wire.endpoint import Endpoint

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Client:
    """One control connection, and whom it registered."""

    connection: e.ConnectionId
    heard_at: float
    allowance: float
    allowance_at: float
    register: m.Register | None = None
    member: Member | None = None
    session: Session | None = None
    contenders: list[_Client] = field(default_factory=list)
    """Who want this client's id, while this client is challenged to show that it is alive."""


@dataclass(frozen=True, slots=True)
class _EarlyAnnounce:
    """An announce whose registration is on its way."""

    announce: Announce
    source: Endpoint
    local: Any
    until: float


@dataclass(slots=True)
class Counters:
    """What was dropped, and why; for the log and for tests."""

    unknown_announces: int = 0
    ignored_datagrams: int = 0
    refused: dict[str, int] = field(default_factory=dict)


class Rendezvous:
    """Feed `handle` events, carry out the actions, call it with `TimerFired` at `deadline()`."""

    def __init__(self, *, rng: random.Random, settings: ServerSettings | None = None) -> None:
        self._rng = rng
        self._settings = settings or ServerSettings()
        self._timers = Timers()
        self._attempts = (1 + number % MAX_COUNTER for number in itertools.count())
        self._transactions = (1 + number % MAX_COUNTER for number in itertools.count())
        self._clients: dict[e.ConnectionId, _Client] = {}
        self._by_id: dict[str, _Client] = {}
        self._by_token: dict[bytes, _Client] = {}
        self._early: dict[bytes, _EarlyAnnounce] = {}
        self.counters = Counters()

    @property
    def registered(self) -> frozenset[str]:
        """The ids that are registered now."""
        return frozenset(self._by_id)

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        return self._timers.deadline()

    def handle(self, event: e.Event, now: float) -> list[e.Action]:
        """One event in, actions out, in the order in which to carry them out."""
        return list(self._dispatch(event, now))

    def _dispatch(self, event: e.Event, now: float) -> Iterator[e.Action]:
        match event:
            case e.ControlOpened(connection):
                yield from self._connection_opened(connection, now)
            case e.ControlReceived(message, connection):
                if (client := self._clients.get(connection)) is not None:
                    yield from self._message_arrived(client, message, now)
            case e.ControlGarbled(reason, connection):
                if (client := self._clients.get(connection)) is not None:
                    yield from self._refuse(client, m.ErrorCode.BAD_MESSAGE, reason, now)
            case e.ControlBroken(_, connection):
                if (client := self._clients.get(connection)) is not None:
                    yield from self._forget(client, now)
            case e.DatagramArrived(Announce() as announce, source, _, local) if source.port:
                yield from self._announce_arrived(announce, source, local, now)
            case e.DatagramArrived():
                self.counters.ignored_datagrams += 1
            case e.TimerFired():
                for name in self._timers.due(now):
                    yield from self._timer_fired(name, now)
            case e.StopRequested():
                yield from [e.CloseControl(connection) for connection in self._clients]

    # Connections

    def _connection_opened(self, connection: e.ConnectionId, now: float) -> Iterator[e.Action]:
        if len(self._clients) >= self._settings.connections:
            # Those who have not registered yet make room, the oldest first; others keep their place.
            oldest = next((c for c in self._clients.values() if c.register is None), None)
            text = f"the server is full: {self._settings.connections} connections"
            if oldest is None:
                yield e.SendMessage(m.Refused(m.ErrorCode.SERVER_FULL, text), connection)
                yield e.CloseControl(connection)
                return
            yield from self._refuse(oldest, m.ErrorCode.SERVER_FULL, text, now)
        self._clients[connection] = _Client(
            connection, heard_at=now, allowance=float(self._settings.burst), allowance_at=now
        )
        self._timers.set(connection, now + self._settings.register_within)

    def _timer_fired(self, name: object, now: float) -> Iterator[e.Action]:
        if isinstance(name, Session):
            yield from name.timed_out(now)
        elif isinstance(name, tuple):
            yield from self._challenge_unanswered(self._clients[name[1]], now)
        elif isinstance(name, int):
            yield from self._check_alive(self._clients[name], now)

    def _check_alive(self, client: _Client, now: float) -> Iterator[e.Action]:
        if client.register is None:
            text = f"no registration within {self._settings.register_within:g} s"
            yield from self._refuse(client, m.ErrorCode.TOO_SLOW, text, now)
            return
        heartbeat = self._settings.heartbeat
        silence = now - client.heard_at
        if silence >= self._settings.silence_heartbeats * heartbeat:
            yield from self._refuse(
                client, m.ErrorCode.TOO_SLOW, f"silent for {silence:.0f} s", now
            )
            return
        self._timers.set(client.connection, now + heartbeat / 2)
        if silence >= heartbeat:
            yield self._ping(client)

    def _ping(self, client: _Client) -> e.Action:
        return e.SendMessage(m.Heartbeat(next(self._transactions)), client.connection)

    def _refuse(
        self, client: _Client, code: m.ErrorCode, text: str, now: float
    ) -> Iterator[e.Action]:
        self.counters.refused[code] = self.counters.refused.get(code, 0) + 1
        yield e.SendMessage(m.Refused(code, text), client.connection)
        yield e.CloseControl(client.connection)
        host_id = client.register.id if client.register else None
        yield e.Tell(e.HostRefused(host_id, code, text))
        yield from self._forget(client, now)

    def _forget(self, client: _Client, now: float) -> Iterator[e.Action]:
        del self._clients[client.connection]
        self._timers.cancel(client.connection)
        self._timers.cancel(("challenge", client.connection))
        register, session = client.register, client.session
        if register is None:
            return
        holder = self._by_id.get(register.id)
        if holder is not client:
            if holder is not None and client in holder.contenders:
                holder.contenders.remove(client)
                if not holder.contenders:
                    self._timers.cancel(("challenge", holder.connection))
            return
        del self._by_id[register.id]
        if self._by_token.get(register.token) is client:
            del self._by_token[register.token]
        yield e.Tell(e.HostLeft(register.id))
        if session is not None:
            session.member_left()
            other = self._by_id[register.peer]
            other.session = None
            yield e.SendMessage(m.PeerStatus(m.PeerState.LEFT), other.connection)
        if client.contenders:
            first, *first.contenders = client.contenders
            yield from self._admit(first, now, client)
            if first.contenders:
                yield from self._challenge(first, now)

    # Messages

    def _message_arrived(
        self, client: _Client, message: m.Message | m.UnknownMessage, now: float
    ) -> Iterator[e.Action]:
        client.heard_at = now
        if client.member is not None:
            client.member.heard_at = now
        client.allowance = min(
            self._settings.burst,
            client.allowance + self._settings.rate * (now - client.allowance_at) - 1.0,
        )
        client.allowance_at = now
        if client.allowance < 0:
            text = f"more than {self._settings.rate:g} messages a second"
            yield from self._refuse(client, m.ErrorCode.TOO_FAST, text, now)
            return
        if client.contenders:  # challenged, and alive
            yield from self._challenge_answered(client, now)
        match message:
            case m.Register():
                yield from self._register_arrived(client, message, now)
            case m.Heartbeat(transaction):
                yield e.SendMessage(m.HeartbeatAnswer(transaction), client.connection)
            case m.HeartbeatAnswer():
                pass
            case m.UnknownMessage(type_):
                text = f"unknown message type {type_!r}"
                yield e.SendMessage(m.Refused(m.ErrorCode.UNKNOWN_MESSAGE, text), client.connection)
            case _ if client.session is not None and client.member is not None:
                yield from self._session_message(client.session, client.member, message, now)
            case m.Retry(generation) if client.member is not None:
                client.member.expect(generation)
            case _:
                log.debug("ignored from connection %d: %r", client.connection, message)

    def _session_message(
        self, session: Session, member: Member, message: m.Message, now: float
    ) -> Iterator[e.Action]:
        match message:
            case m.HelloSent(transaction):
                yield from session.hello_sent(member, transaction, now)
            case m.Established(attempt, round_):
                yield from session.established(member, attempt, round_, now)
            case m.Retry(generation):
                yield from session.retry(member, generation, now)
            case _:
                log.debug("ignored from %s: %r", member.id, message)

    # Registration

    def _register_arrived(
        self, client: _Client, register: m.Register, now: float
    ) -> Iterator[e.Action]:
        if client.register is not None:
            yield from self._refuse(
                client, m.ErrorCode.BAD_MESSAGE, "a connection registers once", now
            )
            return
        if PROTOCOL_VERSION not in register.versions:
            text = f"the server speaks version {PROTOCOL_VERSION} only: update the older side"
            yield from self._refuse(client, m.ErrorCode.UNSUPPORTED_VERSION, text, now)
            return
        if register.id == register.peer:
            text = f"{register.id!r} cannot be its own peer: give the two hosts different ids"
            yield from self._refuse(client, m.ErrorCode.BAD_ID, text, now)
            return
        client.register = register
        self._timers.set(client.connection, now + self._settings.heartbeat)
        holder = self._by_id.get(register.id)
        if holder is None:
            yield from self._admit(client, now)
        elif holder.register is not None and holder.register.token == register.token:
            # The same process again: its old connection is dead, whatever TCP thinks.
            yield from self._challenge_answered(holder, now)
            holder.contenders = [client]
            text = "this client has connected again"
            yield from self._refuse(holder, m.ErrorCode.REPLACED, text, now)
        else:
            holder.contenders.append(client)
            if len(holder.contenders) == 1:
                yield from self._challenge(holder, now)

    def _challenge(self, holder: _Client, now: float) -> Iterator[e.Action]:
        self._timers.set(("challenge", holder.connection), now + self._settings.challenge_within)
        yield self._ping(holder)

    def _challenge_answered(self, holder: _Client, now: float) -> Iterator[e.Action]:
        contenders, holder.contenders = holder.contenders, []
        self._timers.cancel(("challenge", holder.connection))
        for contender in contenders:
            yield from self._refuse_id(contender, now)

    def _challenge_unanswered(self, holder: _Client, now: float) -> Iterator[e.Action]:
        text = f"no answer within {self._settings.challenge_within:g} s, and another client has come with this id"
        yield from self._refuse(holder, m.ErrorCode.REPLACED, text, now)

    def _refuse_id(self, client: _Client, now: float) -> Iterator[e.Action]:
        assert client.register is not None
        text = f"the id {client.register.id!r} is in use by another client: choose another --id"
        yield from self._refuse(client, m.ErrorCode.ID_IN_USE, text, now)

    def _admit(
        self, client: _Client, now: float, before: _Client | None = None
    ) -> Iterator[e.Action]:
        """The id is `client`'s from now on; until now it was that of `before`, if of anybody."""
        register = client.register
        assert register is not None
        member = Member(
            register.id, client.connection, register.generation, self._settings.longest_round_trip
        )
        if before is not None and before.register and before.register.token == register.token:
            member.inherit(before.member)
        client.member = member
        self._by_id[register.id] = client
        self._by_token[register.token] = client
        yield e.Tell(e.HostRegistered(register.id, register.peer))
        yield e.SendMessage(
            m.Registered(register.transaction, PROTOCOL_VERSION, self._settings.heartbeat),
            client.connection,
        )
        other = self._by_id.get(register.peer)
        mutual = (
            other is not None and other.register is not None and other.register.peer == register.id
        )
        if other is None or other.member is None or not mutual:
            yield e.SendMessage(m.PeerStatus(m.PeerState.ABSENT), client.connection)
        else:
            session = Session(
                (member, other.member), self._attempts, self._timers, self._rng, self._settings
            )
            client.session = other.session = session
            for each in (client, other):
                yield e.SendMessage(m.PeerStatus(m.PeerState.PRESENT), each.connection)
            yield from session.begin(now)
        early = self._early.pop(register.token, None)
        if early is not None and early.until >= now:
            yield from self._announce_arrived(early.announce, early.source, early.local, now)

    # Announces

    def _announce_arrived(
        self, announce: Announce, source: Endpoint, local: object, now: float
    ) -> Iterator[e.Action]:
        client = self._by_token.get(announce.token)
        if client is None or client.register is None or client.member is None:
            self.counters.unknown_announces += 1
            self._early.pop(announce.token, None)
            self._early[announce.token] = _EarlyAnnounce(
                announce, source, local, now + self._settings.early_within
            )
            if len(self._early) > self._settings.early_announces:
                del self._early[next(iter(self._early))]
            return
        if not client.member.announced(announce.generation, source):
            return
        other = self._by_id.get(client.register.peer)
        known = other.member.mapped if client.session and other and other.member else None
        answer = Announced(announce.transaction, source, (known,) if known else ())
        yield e.SendDatagram(answer, source, local=local)
        if client.session is not None:
            yield from client.session.gathered_more(now)
