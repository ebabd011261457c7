"""A client's control connection: connect, register, heartbeats, and coming back with growing pauses."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, replace
from enum import Enum, auto

from nat_traversal.client.security import KeyPair
from nat_traversal.client.server_status import ServerState, ServerStatus
from nat_traversal.crypto.access import shown
from nat_traversal.crypto.possession import Claim, proof
from nat_traversal.errors import KeyRefusedError
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.timers import Backoff, Timers
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.offers import Offer

log = logging.getLogger(__name__)


OR_CORRECT = ", or correct --server"
"""Ends a remedy where the server has never answered: the user may have named another host."""


class LinkState(Enum):
    """Named by what the client waits for."""

    PAUSING = auto()  # the next try
    CONNECTING = auto()  # the TCP connection
    REGISTERING = auto()  # the answer to REGISTER
    REGISTERED = auto()  # orders
    CLOSED = auto()  # nothing


class LinkTrigger(Enum):
    CONNECT = auto()
    OPENED = auto()
    ACCEPTED = auto()
    BROKEN = auto()
    CLOSE = auto()


_S, _T = LinkState, LinkTrigger
TABLE = {
    (_S.PAUSING, _T.CONNECT): _S.CONNECTING,
    (_S.CONNECTING, _T.OPENED): _S.REGISTERING,
    (_S.CONNECTING, _T.BROKEN): _S.PAUSING,
    (_S.REGISTERING, _T.ACCEPTED): _S.REGISTERED,
    (_S.REGISTERING, _T.BROKEN): _S.PAUSING,
    (_S.REGISTERED, _T.BROKEN): _S.PAUSING,
    (_S.PAUSING, _T.CLOSE): _S.CLOSED,
    (_S.CONNECTING, _T.CLOSE): _S.CLOSED,
    (_S.REGISTERING, _T.CLOSE): _S.CLOSED,
    (_S.REGISTERED, _T.CLOSE): _S.CLOSED,
    (_S.CLOSED, _T.CLOSE): _S.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity that registers."""

    id: str
    peer: str
    serves: m.Serves = m.Serves.UNTOLD
    peer_key: bytes = b""
    """The identity that the peer must have; empty where none is demanded."""
    methods: tuple[str, ...] = ()
    """The further methods in which this host takes part."""


@dataclass(frozen=True, slots=True)
class RelayWish:
    """Whether a client takes the server's relay, and its part in TURN; the public key (32 octets, or none) for the next."""

    relaying: m.Relaying = m.Relaying.NEVER
    public: bytes = b""
    turn: m.TurnPart = m.TurnPart.NEVER


NO_RELAY = RelayWish()


class ControlLink:
    """Owns the timers ``reconnect``, ``answer`` and ``heartbeat`` of the agent's `Timers`."""

    TIMERS = ("reconnect", "answer", "heartbeat")

    def __init__(
        self,
        identity: Identity,
        settings: ClientSettings,
        timers: Timers,
        rng: random.Random,
        owner: KeyPair | None,
        *,
        token: bytes | None = None,
        named: HostPort | None = None,
    ) -> None:
        self.identity = identity
        self._named = named
        """The server, as the user has given it."""
        self._token = token
        """The server's, 32 octets."""
        self._owner = owner
        """Holds the id; None: nobody can tell this client from another one."""
        self._settings = settings
        self._timers = timers
        self._backoff = Backoff(rng, settings.reconnect_first, settings.reconnect_most)
        self._machine = StateMachine("control", _S.PAUSING, TABLE)
        self.server: Endpoint | None = None
        """The server's end of this connection, if it is known."""
        self._certificate = b""
        self._transaction = 0
        self._heartbeat = 0.0
        self._heard_at = 0.0
        self._registering_at = 0.0
        self._round_trip = 0.0
        """Seconds from the registration to its answer, last time."""
        self._away_since: float | None = None
        """When the server was lost; None: it is there."""
        self._since = 0.0
        """When the state of now began."""
        self._retry_at: float | None = None
        self._last_reason = ""
        """Why the last connection failed or ended, until the server answers again."""
        self._last_remedy = ""
        self._is_reached = False
        """The server has accepted this TCP connection."""
        self._has_answered = False
        """It has accepted a registration before."""
        self._doubt: int | None = None
        """The ping whose answer the connection is waited for in doubt."""

    @property
    def state(self) -> LinkState:
        return self._machine.state

    @property
    def via(self) -> str:
        """The server's address of this connection, if it is known; else empty."""
        return self.server.address if self.server else ""

    def hides(self, mapped: Endpoint) -> bool:
        """Whether `mapped`, where the server sees this host, is a proxy's address."""
        return self.server is not None and mapped.is_loopback and not self.server.is_loopback

    @property
    def is_open(self) -> bool:
        """A connection stands or is being made."""
        return self.state not in (_S.PAUSING, _S.CLOSED)

    @property
    def is_registered(self) -> bool:
        return self.state is _S.REGISTERED

    @property
    def may_speak(self) -> bool:
        """The connection stands, and the registration is on its way or answered: more may follow."""
        return self.state in (_S.REGISTERING, _S.REGISTERED)

    def status(self, now: float) -> ServerStatus:
        """The connection at this moment."""
        retry_in = None if self._retry_at is None else max(0.0, self._retry_at - now)
        state = ServerState[self.state.name]
        since = now - self._since
        return ServerStatus(
            state, self.server, since, self._last_reason, retry_in, self._last_remedy
        )

    def _fire(self, trigger: LinkTrigger, now: float) -> None:
        self._machine.fire(trigger)
        self._since, self._retry_at = now, None

    def connect(self, now: float) -> list[do.Action]:
        """Make the first connection, or the next."""
        self._fire(_T.CONNECT, now)
        self._is_reached = False
        self._timers.set("answer", now + self._settings.answer_within)
        return [do.OpenControl()]

    def reached(self, now: float) -> None:
        """The server has accepted the TCP connection: TLS has as much time as TCP had."""
        if self.state is _S.CONNECTING:
            self._is_reached = True
            self._timers.set("answer", now + self._settings.answer_within)

    def met(self, server: Endpoint | None, certificate: bytes) -> None:
        """The connection stands to `server`, with the SHA-256 of that certificate."""
        self.server, self._certificate = server, certificate

    def opened(
        self, generation: int, offer: Offer, key: bytes, now: float, wish: RelayWish = NO_RELAY
    ) -> list[do.Action]:
        """The TCP connection stands: register, with the socket `generation` (0: none wanted).
        `key` is for the announces of this connection."""
        self._fire(_T.OPENED, now)
        self._registering_at = now
        self._timers.set("answer", now + self._settings.answer_within)
        identity = self.identity
        register = m.Register(
            transaction=self._next_transaction(),
            versions=(PROTOCOL_VERSION,),
            id=identity.id,
            peer=identity.peer,
            key=key,
            generation=generation,
            offer=offer,
            serves=identity.serves,
            via=self.via,
            owner=b"" if self._owner is None else self._owner.public,
            peer_key=identity.peer_key,
            relaying=wish.relaying,
            relay_public=wish.public,
            methods=identity.methods,
            turn=wish.turn,
        )
        if self._token is not None:
            register = replace(register, access=shown(self._token, register))
        return [do.SendMessage(register)]

    def challenged(self, question: m.Challenge, now: float) -> list[do.Action]:
        """The server wants proof that the key is this client's, before it lets go of an old connection."""
        if self.state is not _S.REGISTERING or self._owner is None:
            return []
        claim = Claim(
            question.nonce,
            question.public,
            self._owner.public,
            self.identity.id,
            self.via,
            self._certificate,
        )
        try:
            secret = self._owner.exchange(question.public)
        except KeyRefusedError as error:
            log.warning("the server's challenge is none: %s", error)
            return []
        self._timers.set("answer", now + self._settings.answer_within)
        return [do.SendMessage(m.Proof(proof(secret, claim)))]

    def heard(self, now: float) -> None:
        """Something came from the server."""
        self._heard_at = now

    def accepted(self, answer: m.Registered, now: float) -> list[do.Action]:
        """The answer to REGISTER; an answer to something else is ignored."""
        if self.state is not _S.REGISTERING or answer.transaction != self._transaction:
            return []
        self._fire(_T.ACCEPTED, now)
        self._last_reason = self._last_remedy = ""
        self._has_answered = True
        self._round_trip = now - self._registering_at
        self._away_since = None
        self._backoff.reset()
        self._heartbeat = answer.heartbeat
        self._timers.cancel("answer")
        self._timers.set("heartbeat", now + self._heartbeat)
        return [do.Tell(note.RegisteredAtServer(self.identity.id, self.identity.peer))]

    def doubt(self, now: float) -> list[do.Action]:
        """The path is silent or lost, or this host is seen elsewhere than before. So its address may
        have changed, and this connection be dead: ask at once, or, if there is none, try again soon."""
        if self.state is _S.REGISTERED and self._doubt is None:
            self._doubt = self._next_transaction()
            self._timers.set("answer", now + self._patience)
            return [do.SendMessage(m.Heartbeat(self._doubt))]
        if self.state is _S.PAUSING:
            self._backoff.reset()
            self._retry(now + self._backoff.next())
        return []

    def woke(self, now: float) -> list[do.Action]:
        """This host has slept: a pause ends at once, and a connection has to show that it lives."""
        if self.state is _S.PAUSING:
            self._backoff.reset()
            self._retry(now)
            return []
        return self.doubt(now)

    def answered(self, transaction: int) -> None:
        """The server answered a ping; only the answer to the one in doubt settles it."""
        if transaction == self._doubt:
            self._doubt = None
            self._timers.cancel("answer")

    def timed_out(self, name: str, now: float) -> str | None:
        """Why the timer `name` ends the connection, or None if it does not."""
        if name == "answer":
            return f"no answer within {self._patience:.3g} s"
        silence = now - self._heard_at
        most = self._settings.silence_heartbeats * self._heartbeat
        if name == "heartbeat" and silence >= most:
            return f"silent for {silence:.0f} s"
        return None

    @property
    def remedy(self) -> str:
        """The change that would mend the silence of the server, a clause."""
        if self._has_answered:
            return "see whether it runs, and whether both hosts are online"
        if self.state is _S.CONNECTING and not self._is_reached:
            at = self._named
            port = "its TCP port" if at is None else f"TCP port {at.port} of {at.host}"
            return f"open {port} in the server's firewall, or correct --server"
        return "see whether a server of this project listens there, with --tls as this side has it"

    def timer_fired(self, name: str, now: float) -> list[do.Action]:
        """A timer is due that did not end the connection."""
        if name == "reconnect":
            return self.connect(now)
        self._timers.set("heartbeat", now + self._heartbeat / 2)
        if now - self._heard_at < self._heartbeat:
            return []
        return [do.SendMessage(m.Heartbeat(self._next_transaction()))]

    def broken(
        self,
        reason: str,
        now: float,
        pause: float | None = None,
        at_least: float = 0.0,
        *,
        needed: bool = False,
        remedy: str = "",
    ) -> list[do.Action]:
        """The connection failed or ended: try again after a pause. The server may have said which one;
        no more than the longest of this client's own is taken from it. `at_least`: this side's own reason to wait.
        There is none where it was doubted: the network has changed, and the server has not. `needed`: no path stands
        without the server."""
        self._fire(_T.BROKEN, now)
        if self._has_answered:
            remedy = remedy.removesuffix(OR_CORRECT)  # it was right
        self._last_reason, self._last_remedy = reason, remedy
        if self._doubt is not None and pause is None:
            pause = 0.0
        self._cancel_timers()
        if self._away_since is None:
            self._away_since = now
        if pause is None:
            is_new = needed and now - self._away_since < self._settings.reconnect_soon_for
            pause = self._backoff.next(self._settings.reconnect_soon if is_new else None)
        pause = max(at_least, min(pause, self._settings.reconnect_most))
        self._retry(now + pause)
        return [do.Tell(note.ServerLost(reason, pause, remedy))]

    def close(self) -> list[do.Action]:
        """For good."""
        connected = self.is_open
        self._machine.fire(_T.CLOSE)
        self._cancel_timers()
        return [do.CloseControl()] if connected else []

    @property
    def _patience(self) -> float:
        """For the server to answer."""
        most, doubt = self._settings.answer_within, self._settings.answer_in_doubt
        return most if self._doubt is None else min(most, doubt + 3 * self._round_trip)

    def _retry(self, at: float) -> None:
        """The pause ends at that moment."""
        self._retry_at = at
        self._timers.set("reconnect", at)

    def _cancel_timers(self) -> None:
        self._doubt = None
        for name in self.TIMERS:
            self._timers.cancel(name)

    def _next_transaction(self) -> int:
        self._transaction = self._transaction % MAX_COUNTER + 1
        return self._transaction
