"""The server as a machine without I/O: ties together registry, challenges and the sessions of pairs."""

from __future__ import annotations

import logging
import random

from nat_traversal.access import Access
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.timers import Timers
from nat_traversal.server.admission import Admission
from nat_traversal.server.announces import Announces
from nat_traversal.server.attempts import AttemptBudgets
from nat_traversal.server.challenge import ChallengeDue
from nat_traversal.server.claims import Claims
from nat_traversal.server.connections import Connections, LivenessDue, ServerAction
from nat_traversal.server.drain import Drain, DrainDue
from nat_traversal.server.gate import Gate
from nat_traversal.server.introductions import Introductions
from nat_traversal.server.member import Member
from nat_traversal.server.orders import Orders, answers_to, is_answer
from nat_traversal.server.possession import Possession
from nat_traversal.server.reflection import Reflection
from nat_traversal.server.registry import EarlyAnnounce, Host, Registry
from nat_traversal.server.relaying import Relaying
from nat_traversal.server.relays import MakeRelays, RelayDue, Relays
from nat_traversal.server.session import Session, numbers
from nat_traversal.server.store import (
    Claimed,
    Held,
    LookedUp,
    LookUp,
    PeerLeft,
    Release,
    Signalled,
    StoreAnswer,
)
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import KEY_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.addresses import is_usable
from nat_traversal.wire.datagrams import Announce, Echo, Frame
from nat_traversal.wire.relayed import LINK_OCTETS, Bind, Link
from nat_traversal.wire.samples import Sample

log = logging.getLogger(__name__)

ServerEvent = e.Event | StoreAnswer


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
        possession: Possession | None = None,
        make_relays: MakeRelays = Relays,
    ) -> None:
        self._settings = settings or ServerSettings()
        self._timers = Timers()
        self._registry = Registry(self._settings.kept_handles)
        self.counters = counters or Counters()
        self._reflection = Reflection(self._settings, self.counters)
        self._announces = Announces(
            *(self._registry, self._settings, self.counters),
            rng.randbytes(KEY_BYTES),
            self._reflection,
        )
        self._relays = make_relays(self._timers, self._settings, self.counters, numbers(), rng)
        self._connections = Connections(self._registry, self._timers, self._settings, self.counters)
        self._attempt_budgets = AttemptBudgets(self._settings, self.counters)
        self._introductions = Introductions(
            self._registry,
            self._announces,
            self._relays,
            self._attempt_budgets,
            timers=self._timers,
            rng=rng,
            settings=self._settings,
        )
        self._drain = Drain(self._registry, self._connections, self._timers, rng)
        self._claims = Claims(self._registry, self._connections, self._settings, possession)
        self._admission = Admission(
            self._registry, self._connections, self._claims, self._settings, self.counters
        )
        self._orders = Orders(self._registry, self.counters)
        gauge = self.counters.gauge
        gauge("hosts", "hosts that have their id", lambda: len(self._registry.ids))
        gauge("attempts", "attempts that go on", lambda: self.attempts)
        self._ignored_datagrams = self.counters.counter(
            "datagrams-ignored", "a datagram that is no announce, or cannot be answered"
        )

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every connection, and what is known of the host at its other end."""
        return tuple(self._registry)

    @property
    def registered(self) -> frozenset[str]:
        """The ids that are registered now."""
        return self._registry.ids

    @property
    def gate(self) -> Gate:
        """Says which connections are taken. Ask it before `ControlOpened`."""
        return self._connections.gate

    @property
    def attempts(self) -> int:
        """Attempts that go on."""
        return sum(host.is_attempting for host in self._registry) // 2

    def admits(self, register: m.Register) -> bool:
        """Whether a host may register so, whoever holds its id."""
        return self._connections.objection(register) is None

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings hold for what begins from now on."""
        self._settings = settings
        self._announces.reconfigure(settings)
        self._reflection.reconfigure(settings)
        self._registry.kept_handles = settings.kept_handles
        self._connections.reconfigure(settings)
        self._claims.reconfigure(settings)
        self._admission.reconfigure(settings)
        self._attempt_budgets.reconfigure(settings)
        self._relays.reconfigure(settings)
        self._introductions.reconfigure(settings)

    def member(self, connection: e.ConnectionId) -> Member | None:
        """The host at a connection that has its id."""
        host = self._registry.get(connection)
        return host.member if host else None

    def is_attempting(self, connection: e.ConnectionId) -> bool:
        """Whether an attempt goes on for the host at that connection."""
        host = self._registry.get(connection)
        return host is not None and host.is_attempting

    def expect_answers(self, connection: e.ConnectionId, message: m.Message) -> None:
        """Somebody else has given that host an order: its answers are free."""
        host = self._registry.get(connection)
        if host is not None:
            host.allowance.expect(answers_to(message))

    @property
    def relays(self) -> int:
        """How many pairs have a relay now."""
        return len(self._relays)

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        return self._timers.deadline()

    def handle(self, event: ServerEvent, now: float) -> list[ServerAction]:
        """One event in, actions out, in the order in which to carry them out."""
        actions = self._handle(event, now)
        if self._drain.has_begun:
            actions += self._drain.go_on()
            actions += self._relays.end_all() if not len(self._registry) else []
        self._orders.given(actions)
        return actions

    def _handle(self, event: ServerEvent, now: float) -> list[ServerAction]:
        match event:
            case e.ControlOpened(connection, remote):
                return self._connections.opened(connection, remote, now)
            case e.ControlReceived() | e.ControlGarbled() | e.ControlBroken():
                host = self._registry.get(event.connection)
                return self._control_event(host, event, now) if host else self._stream_event(event)
            case e.StreamArrived(Frame() as frame, connection):
                return [*self._relays.streamed(frame, len(frame.octets), connection, now)]
            case e.StreamArrived(Link() as link, connection):
                return [*self._relays.streamed(link, LINK_OCTETS, connection, now)]
            case e.StreamArrived():
                self._ignored_datagrams.value += 1
                return []
            case e.DatagramArrived(Announce() as announce, source, _, local) if (
                source.port and is_usable(source.address)
            ):
                return [*self._announces.arrived(EarlyAnnounce(announce, source, local), now)]
            case e.DatagramArrived(Echo() as echo, source):
                return [*self._announces.echoed(echo, source)]
            case e.DatagramArrived(Sample() as sample, source):
                return [*self._announces.sampled(sample, source, now)]
            case e.DatagramArrived(Bind() as bind, source, _, local) if source.port and is_usable(
                source.address
            ):
                return [*self._relays.bind(bind, source, local, now, self._reflection)]
            case e.DatagramArrived(Frame() as frame, source):
                return [*self._relays.forward(frame, len(frame.octets), source, now)]
            case e.DatagramArrived(Link() as link, source):
                return [*self._relays.forward(link, LINK_OCTETS, source, now)]
            case e.DatagramArrived():
                self._ignored_datagrams.value += 1
                return []
            case e.FrameOpened() | e.FrameRefused() | e.LargerFramesSent() | e.DatagramsOffered():
                return []  # frames are between the hosts
            case e.ActionFailed(action, reason):
                return self._connections.unsent(action, reason)
            case e.TimerFired():
                return self._timer_fired(now)
            case e.AccessChanged(Access() as access):
                return self._connections.restrict(access)
            case e.ControlReached() | e.StreamOpened() | e.StreamBroken():  # a client's
                return []
            case e.NatFound() | e.HostsFound() | e.RouterMaps() | e.HopTold():  # likewise
                return []
            case e.TurnOpened() | e.TurnBroken():  # likewise
                return []
            case e.DrainRequested():
                self._drain.begin(self._settings, now)
                return []
            case e.StopRequested():
                return [*self._connections.end_all(), *self._relays.end_all()]
            case (
                e.ServiceChanged()
                | e.ServicesChanged()
                | e.EchoWanted()
                | e.Woke()
                | e.NetworkChanged()
                | e.PeerElsewhere()
                | e.StoreAnswered()
                | e.AccessChanged()
            ):  # others'
                return []
            case _:
                return self._store_answered(event, now)

    def _control_event(
        self, host: Host, event: e.ControlReceived | e.ControlGarbled | e.ControlBroken, now: float
    ) -> list[ServerAction]:
        match event:
            case e.ControlReceived(message):
                return self._message_arrived(host, message, now)
            case e.ControlGarbled(reason):
                return self._connections.refuse(host, m.ErrorCode.BAD_MESSAGE, reason)
            case e.ControlBroken():
                return self._connections.forget(host)

    def _stream_event(
        self, event: e.ControlReceived | e.ControlGarbled | e.ControlBroken
    ) -> list[ServerAction]:
        """Of a connection that has joined a relay, or that has gone already."""
        had_joined = self._relays.broken(event.connection)
        is_open = had_joined and isinstance(event, e.ControlGarbled)
        return [do.CloseControl(event.connection)] if is_open else []

    def _timer_fired(self, now: float) -> list[ServerAction]:
        actions: list[ServerAction] = []
        for name in self._timers.due(now):
            match name:
                case Session() | Relaying():
                    actions += name.timed_out(now)
                case RelayDue(number):
                    actions += self._relays.timed_out(number, now)
                case ChallengeDue(connection):
                    actions += self._connections.is_mute(self._connections.here(connection))
                case DrainDue():
                    actions += self._drain.out_of_time()
                case LivenessDue(connection):
                    actions += self._connections.check_alive(
                        self._connections.here(connection), now
                    )
        return actions

    # Messages

    def _message_arrived(
        self, host: Host, message: m.Message | m.UnknownMessage, now: float
    ) -> list[ServerAction]:
        host.heard_at = now
        if host.member is not None:
            host.member.heard_at = now
        allowance = host.allowance
        if not (allowance.answered(now) if is_answer(message) else allowance.take(now)):
            text = f"more than {self._settings.rate:g} messages a second"
            return self._connections.refuse(host, m.ErrorCode.TOO_FAST, text)
        alive = self._connections.lives(host, now)
        obeyed = self._obey(host, message, now)
        return [*alive, *obeyed, *self._announces.overtaken(host, message, now)]

    def _obey(
        self, host: Host, message: m.Message | m.UnknownMessage, now: float
    ) -> list[ServerAction]:
        match message:
            case m.Register():
                return self._admission.register(host, message, now)
            case m.RelayJoin(ticket) if host.registration is None:
                joined = self._relays.join(ticket, host.connection, now)
                if not joined:
                    text = "no relay has this ticket: it counts once, while its relay stands"
                    return self._connections.refuse(host, m.ErrorCode.BAD_MESSAGE, text)
                self._connections.joined(host)
                return [*joined]
            case m.Proof(mac) if host.registration is not None:
                return self._claims.proven(host, mac, now)
            case m.Heartbeat(transaction):
                return [do.SendMessage(m.HeartbeatAnswer(transaction), host.connection)]
            case m.HeartbeatAnswer():
                return []
            case m.UnknownMessage(type_):
                text = f"unknown message type {type_!r}"
                return [
                    do.SendMessage(m.Refused(m.ErrorCode.UNKNOWN_MESSAGE, text), host.connection)
                ]
            case m.ServiceState() if host.session is not None and host.member is not None:
                peer = host.session.peer_of(host.member)
                return [do.SendMessage(message, peer.connection)]
            case m.PortMapped() if host.member is not None:
                return [*self._announces.mapped(host, message)]
            case _ if host.session is not None and host.member is not None:
                return [*host.session.message_arrived(host.member, message, now)]
            case m.Retry(generation, public) if host.member is not None:
                host.member.opened(generation, public)
                host.member.expect(generation)
                if host.is_mismatched and host.registration is not None:
                    register = host.registration.register
                    return [LookUp(register.peer, host.registration.holder)]
            case m.SocketOpened(generation, public) if host.member is not None:
                host.member.opened(generation, public)
            case m.NatTold() if host.member is not None:
                host.member.nat = message
            case m.RelayReady(relay, public) if host.member is not None:
                host.member.relay_public = public
                return [*self._relays.done(relay, host.member)]
            case _:
                log.debug("ignored from connection %d: %r", host.connection, message)
        return []

    # The store's answers

    def _store_answered(self, answer: StoreAnswer, now: float) -> list[ServerAction]:
        match answer:
            case Claimed(holder):
                host = self._registry.get(holder.connection)
                if host is None:
                    return [Release(holder)]
                if host.member is not None:
                    return []
                return [*self._claims.settled(host), *self._admission.admit(host)]
            case Held(claimant, holder):
                host = self._registry.get(claimant.connection)
                return self._claims.contend(host, holder, now) if host else []
            case LookedUp(asker, found):
                host = self._registry.get(asker.connection)
                if host is None:
                    return []
                return [*self._introductions.introduce(host, found, now)]
            case Signalled(holder, PeerLeft()):
                if self._registry.get(holder.connection) is None:
                    return []
                return [do.SendMessage(m.PeerStatus(m.PeerState.LEFT), holder.connection)]
