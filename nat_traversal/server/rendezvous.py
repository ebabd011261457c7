"""The server as a machine without I/O: ties together who is here, who lives, and what each pair does."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, replace

from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.timers import Timers
from nat_traversal.server.challenge import ChallengeDue, Challenges
from nat_traversal.server.member import Member
from nat_traversal.server.rate import Allowance
from nat_traversal.server.registry import (
    EarlyAnnounce,
    EarlyAnnounces,
    Host,
    Registration,
    Registry,
)
from nat_traversal.server.session import Session, numbers
from nat_traversal.server.store import (
    Claim,
    Claimed,
    Held,
    Holder,
    LookedUp,
    LookUp,
    PeerLeft,
    Publish,
    Release,
    Signalled,
    StoreAnswer,
    StoreRequest,
)
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import MAX_CANDIDATES, Announce, Announced

log = logging.getLogger(__name__)

ServerEvent = e.Event | StoreAnswer
ServerAction = e.Action | StoreRequest


@dataclass(frozen=True, slots=True)
class LivenessDue:
    """The timer's name: look whether this connection lives."""

    connection: e.ConnectionId


class Rendezvous:
    """Feed `handle` events, carry out the actions, call it with `TimerFired` at `deadline()`.

    Requests to the store are among the actions, their answers among the events. Every table here
    has a cap and an expiry.
    """

    def __init__(
        self,
        *,
        rng: random.Random,
        settings: ServerSettings | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._rng = rng
        self._settings = settings or ServerSettings()
        self._timers = Timers()
        self._attempts = numbers()
        self._transactions = numbers()
        self._registry = Registry()
        self._early = EarlyAnnounces(self._settings.early_announces, self._settings.early_within)
        self._challenges = Challenges(self._timers, self._settings.challenge_within, self._ping)
        self.counters = counters or Counters()
        self._unknown_announces = self.counters.counter(
            "announces-unknown", "an announce with a token that nobody has registered"
        )
        self._ignored_datagrams = self.counters.counter(
            "datagrams-ignored", "a datagram that is no announce, or cannot be answered"
        )

    @property
    def registered(self) -> frozenset[str]:
        """The ids that are registered now."""
        return self._registry.ids

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        return self._timers.deadline()

    def handle(self, event: ServerEvent, now: float) -> list[ServerAction]:
        """One event in, actions out, in the order in which to carry them out."""
        match event:
            case e.ControlOpened(connection):
                return self._connection_opened(connection, now)
            case e.ControlReceived(message, connection):
                host = self._registry.get(connection)
                return self._message_arrived(host, message, now) if host else []
            case e.ControlGarbled(reason, connection):
                host = self._registry.get(connection)
                return self._refuse(host, m.ErrorCode.BAD_MESSAGE, reason) if host else []
            case e.ControlBroken(_, connection):
                host = self._registry.get(connection)
                return self._forget(host) if host else []
            case e.DatagramArrived(Announce() as announce, source, _, local) if source.port:
                return self._announce_arrived(EarlyAnnounce(announce, source, local), now)
            case e.DatagramArrived():
                self._ignored_datagrams.value += 1
                return []
            case e.TimerFired():
                return self._timer_fired(now)
            case e.StopRequested():
                return self._stop()
            case _:
                return self._store_answered(event, now)

    # Connections

    def _connection_opened(self, connection: e.ConnectionId, now: float) -> list[ServerAction]:
        actions: list[ServerAction] = []
        most = self._settings.connections
        if len(self._registry) >= most:
            # Those who have not registered yet make room, the oldest first; others keep their place.
            oldest = self._registry.oldest_unregistered()
            text = f"the server is full: {most} connections"
            if oldest is None:
                return [
                    e.SendMessage(m.Refused(m.ErrorCode.SERVER_FULL, text), connection),
                    e.CloseControl(connection),
                ]
            actions = self._refuse(oldest, m.ErrorCode.SERVER_FULL, text)
        allowance = Allowance(self._settings.burst, self._settings.rate, now)
        self._registry.add(Host(connection, allowance, heard_at=now))
        self._timers.set(LivenessDue(connection), now + self._settings.register_within)
        return actions

    def _timer_fired(self, now: float) -> list[ServerAction]:
        actions: list[ServerAction] = []
        for name in self._timers.due(now):
            match name:
                case Session():
                    actions += name.timed_out(now)
                case ChallengeDue(connection):
                    actions += self._challenge_unanswered(self._here(connection))
                case LivenessDue(connection):
                    actions += self._check_alive(self._here(connection), now)
        return actions

    def _check_alive(self, host: Host, now: float) -> list[ServerAction]:
        if host.registration is None:
            text = f"no registration within {self._settings.register_within:g} s"
            return self._refuse(host, m.ErrorCode.TOO_SLOW, text)
        heartbeat = self._settings.heartbeat
        silence = now - host.heard_at
        if silence >= self._settings.silence_heartbeats * heartbeat:
            return self._refuse(host, m.ErrorCode.TOO_SLOW, f"silent for {silence:.0f} s")
        self._timers.set(LivenessDue(host.connection), now + heartbeat / 2)
        actions: list[ServerAction] = []
        if silence >= heartbeat:
            actions.append(self._ping(host.connection))
        if host.member is not None:
            actions.append(self._claim(host.registration.holder))
        return actions

    def _ping(self, connection: e.ConnectionId) -> e.Action:
        return e.SendMessage(m.Heartbeat(next(self._transactions)), connection)

    def _refuse(self, host: Host, code: m.ErrorCode, text: str) -> list[ServerAction]:
        self.counters.counter(f"refused-{code}", f"a connection ended with {code}").value += 1
        return [
            e.SendMessage(m.Refused(code, text), host.connection),
            e.CloseControl(host.connection),
            e.Tell(e.HostRefused(host.id, code, text)),
            *self._forget(host),
        ]

    def _forget(self, host: Host) -> list[ServerAction]:
        self._registry.remove(host)
        self._timers.cancel(LivenessDue(host.connection))
        if host.registration is None:
            return []
        if host.member is None:
            self._challenges.withdraw(host.connection)
            return []
        actions: list[ServerAction] = [
            Release(host.registration.holder),
            e.Tell(e.HostLeft(host.member.id)),
        ]
        if host.session is not None:
            host.session.member_left()
            peer = host.session.peer_of(host.member)
            self._here(peer.connection).session = None
            actions.append(Publish(peer.id, PeerLeft(host.member.id)))
        for connection in self._challenges.end(host.connection):
            actions += self._claim_id_of(host, self._here(connection))
        return actions

    def _here(self, connection: e.ConnectionId) -> Host:
        """The host at a connection that has not gone: what refers to it goes when it goes."""
        host = self._registry.get(connection)
        assert host is not None
        return host

    def _stop(self) -> list[ServerAction]:
        actions: list[ServerAction] = []
        for host in self._registry:
            if host.registration is not None and host.member is not None:
                actions.append(Release(host.registration.holder))
            actions.append(e.CloseControl(host.connection))
        return actions

    # Messages

    def _message_arrived(
        self, host: Host, message: m.Message | m.UnknownMessage, now: float
    ) -> list[ServerAction]:
        host.heard_at = now
        if host.member is not None:
            host.member.heard_at = now
        if not host.allowance.take(now):
            text = f"more than {self._settings.rate:g} messages a second"
            return self._refuse(host, m.ErrorCode.TOO_FAST, text)
        alive = self._challenge_answered(host)
        return [*alive, *self._obey(host, message, now)]

    def _obey(
        self, host: Host, message: m.Message | m.UnknownMessage, now: float
    ) -> list[ServerAction]:
        match message:
            case m.Register():
                return self._register_arrived(host, message, now)
            case m.Heartbeat(transaction):
                return [e.SendMessage(m.HeartbeatAnswer(transaction), host.connection)]
            case m.HeartbeatAnswer():
                return []
            case m.UnknownMessage(type_):
                text = f"unknown message type {type_!r}"
                return [
                    e.SendMessage(m.Refused(m.ErrorCode.UNKNOWN_MESSAGE, text), host.connection)
                ]
            case _ if host.session is not None and host.member is not None:
                return [*host.session.message_arrived(host.member, message, now)]
            case m.Retry(generation) if host.member is not None:
                host.member.expect(generation)
            case _:
                log.debug("ignored from connection %d: %r", host.connection, message)
        return []

    # Registration

    def _register_arrived(self, host: Host, register: m.Register, now: float) -> list[ServerAction]:
        if host.registration is not None:
            return self._refuse(host, m.ErrorCode.BAD_MESSAGE, "a connection registers once")
        if PROTOCOL_VERSION not in register.versions:
            text = f"the server speaks version {PROTOCOL_VERSION} only: update the older side"
            return self._refuse(host, m.ErrorCode.UNSUPPORTED_VERSION, text)
        if register.id == register.peer:
            text = f"{register.id!r} cannot be its own peer: give the two hosts different ids"
            return self._refuse(host, m.ErrorCode.BAD_ID, text)
        holder = Holder(register.id, register.peer, host.connection)
        host.registration = Registration(register, holder)
        self._timers.set(LivenessDue(host.connection), now + self._settings.heartbeat)
        return [self._claim(holder)]

    def _claim(self, holder: Holder) -> StoreRequest:
        return Claim(holder, self._settings.lease)

    def _claim_id_of(self, gone: Host, host: Host) -> list[ServerAction]:
        """`host` wants the id that `gone` had. If both are one process, what it announced counts."""
        assert host.registration is not None
        assert gone.registration is not None
        if gone.registration.register.token == host.registration.register.token:
            host.registration = replace(host.registration, before=gone.member)
        return [self._claim(host.registration.holder)]

    def _challenge_answered(self, holder: Host) -> list[ServerAction]:
        """The holder lives: who wants its id has to choose another."""
        actions: list[ServerAction] = []
        for contender in self._challenges.end(holder.connection):
            actions += self._refuse_id(self._here(contender))
        return actions

    def _challenge_unanswered(self, holder: Host) -> list[ServerAction]:
        within = self._settings.challenge_within
        text = f"no answer within {within:g} s, and another client has come with this id"
        return self._refuse(holder, m.ErrorCode.REPLACED, text)

    def _refuse_id(self, host: Host) -> list[ServerAction]:
        text = f"the id {host.id!r} is in use by another client: choose another --id"
        return self._refuse(host, m.ErrorCode.ID_IN_USE, text)

    # The store's answers

    def _store_answered(self, answer: StoreAnswer, now: float) -> list[ServerAction]:
        match answer:
            case Claimed(holder):
                host = self._registry.get(holder.connection)
                if host is None:
                    return [Release(holder)]
                return self._admit(host) if host.member is None else []
            case Held(claimant, holder):
                host = self._registry.get(claimant.connection)
                return self._contend(host, holder, now) if host else []
            case LookedUp(asker, found):
                host = self._registry.get(asker.connection)
                return self._introduce(host, found, now) if host else []
            case Signalled(holder, PeerLeft()):
                if self._registry.get(holder.connection) is None:
                    return []
                return [e.SendMessage(m.PeerStatus(m.PeerState.LEFT), holder.connection)]

    def _contend(self, host: Host, holder: Holder, now: float) -> list[ServerAction]:
        """The id that `host` wants is `holder`'s."""
        if host.member is not None:
            text = "its lease ran out, and another client has come with this id"
            return self._refuse(host, m.ErrorCode.REPLACED, text)
        rival = self._registry.get(holder.connection)
        if rival is None:
            return self._refuse_id(host)
        assert rival.registration is not None
        assert host.registration is not None
        if rival.registration.register.token != host.registration.register.token:
            return [*self._challenges.contend(host.connection, rival.connection, now)]
        # The same process again: its old connection is dead, whatever TCP thinks.
        return [
            *self._challenge_answered(rival),
            *self._refuse(rival, m.ErrorCode.REPLACED, "this client has connected again"),
            *self._claim_id_of(rival, host),
        ]

    def _admit(self, host: Host) -> list[ServerAction]:
        """The id is `host`'s from now on."""
        registration = host.registration
        assert registration is not None
        register = registration.register
        member = Member(
            register.id, host.connection, register.generation, self._settings.longest_round_trip
        )
        if registration.before is not None:
            member.inherit(registration.before)
        self._registry.admit(host, registration, member)
        accepted = m.Registered(register.transaction, PROTOCOL_VERSION, self._settings.heartbeat)
        return [
            e.Tell(e.HostRegistered(register.id, register.peer)),
            e.SendMessage(accepted, host.connection),
            LookUp(register.peer, registration.holder),
        ]

    def _introduce(self, host: Host, found: Holder | None, now: float) -> list[ServerAction]:
        """`found` has the id that `host` wants for its peer, or nobody has."""
        assert host.registration is not None
        assert host.member is not None
        actions: list[ServerAction] = []
        other = self._registry.get(found.connection) if found else None
        is_mutual = found is not None and found.peer == host.member.id
        if host.session is not None:
            pass  # the other one's look-up was faster
        elif other is None or other.member is None or not is_mutual:
            actions.append(e.SendMessage(m.PeerStatus(m.PeerState.ABSENT), host.connection))
        else:
            session = Session(
                (host.member, other.member),
                attempts=self._attempts,
                timers=self._timers,
                rng=self._rng,
                settings=self._settings,
            )
            host.session = other.session = session
            present = m.PeerStatus(m.PeerState.PRESENT)
            actions += [e.SendMessage(present, each.connection) for each in (host, other)]
            actions += session.begin(now)
        early = self._early.take(host.registration.register.token, now)
        return [*actions, *(self._announce_arrived(early, now) if early else ())]

    # Announces

    def _announce_arrived(self, arrived: EarlyAnnounce, now: float) -> list[ServerAction]:
        announce, source = arrived.announce, arrived.source
        host = self._registry.with_token(announce.token)
        if host is None or host.member is None:
            self._unknown_announces.value += 1
            self._early.keep(arrived, now)
            return []
        if not host.member.announced(announce.generation, m.Candidate("srflx", source)):
            return []
        session = host.session
        known = session.peer_of(host.member).endpoints[:MAX_CANDIDATES] if session else ()
        answer = Announced(announce.transaction, source, known)
        actions: list[ServerAction] = [e.SendDatagram(answer, source, local=arrived.local)]
        if session is not None:
            actions += session.socket_shown(now)
        return actions
