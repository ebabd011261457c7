"""The relayed way to a peer, through the server or a TURN server: from the order to its end, beside the direct way."""

from __future__ import annotations

import random
from collections.abc import Callable

from nat_traversal.client.control_link import Identity, RelayWish
from nat_traversal.client.endings import established
from nat_traversal.client.leg import Leg
from nat_traversal.client.security import KeyPair, RoundKeys, Security
from nat_traversal.client.turn_news import TurnNews
from nat_traversal.errors import KeyRefusedError
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair, Sockets, UdpSocket
from nat_traversal.paths.methods.method import Output, Proven
from nat_traversal.paths.methods.relay import Relay, RelayState
from nat_traversal.paths.methods.turn import CHANNEL_OCTETS, Turn
from nat_traversal.paths.path import Path
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import KEY_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Datagram
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.octets import CONNECTION_BYTES


class Relayed:
    """The ways to relays: one as a rule, two while the second takes over from the first."""

    def __init__(
        self,
        identity: Identity,
        settings: ClientSettings,
        security: Security,
        *,
        relaying: m.Relaying,
        may_join: bool,
        turn: m.TurnPart,
        instance: bytes,
        sockets: Sockets,
        rng: random.Random,
        may_speak: Callable[[], bool],
        is_first: Callable[[], bool],
    ) -> None:
        self._identity = identity
        self._may_speak = may_speak
        """Whether the server can be told anything."""
        self._is_first = is_first
        """Whether no path carries programs' datagrams. People are not told of one beside it before they take it."""
        self._settings = settings
        self._security = security
        self._relaying = m.Relaying.NEVER if security.make_key is None else relaying
        self._may_join = may_join
        self._turn = m.TurnPart.NEVER if security.make_key is None else turn
        self._turn_news = TurnNews()
        self._instance = instance
        self._sockets = sockets
        self._rng = rng
        self._nonce_secret = rng.randbytes(KEY_BYTES)
        self._pair: KeyPair | None = None
        """Offered for the next relay."""
        self._legs: list[Leg] = []
        """The newest last."""

    @property
    def wish(self) -> RelayWish:
        """This side's word to the server when it registers."""
        if self._relaying is m.Relaying.NEVER and self._turn is m.TurnPart.NEVER:
            return RelayWish()
        return RelayWish(self._relaying, self._fresh_key(), self._turn)

    @property
    def is_open(self) -> bool:
        """A relayed path stands, or is on its way."""
        return bool(self._legs)

    @property
    def paths(self) -> list[Path]:
        """The relayed paths that stand, the newest last."""
        return [leg.path for leg in self._legs if leg.path is not None] if self._legs else []

    @property
    def deadline(self) -> float | None:
        """When to call `due` next."""
        return min([leg.deadline for leg in self._legs]) if self._legs else None

    def owns(self, generation: int) -> bool:
        """Whether the open socket of that number leads to a relay."""
        return self._at(generation) is not None

    # The server's words

    def ordered(
        self, order: m.OpenRelay, key: bytes, now: float, *, udp_is_silent: bool
    ) -> list[do.Action]:
        """A relay stands for this pair: bind to it with `key`, that of the present connection, unless the order has one.

        Refused in silence where the peer's offer does not fit: the attempt to open a direct path has
        told that. `udp_is_silent`: the server has not been heard over UDP.
        """
        if self._pair is None:
            return []
        keys = self._keys_of(order, self._pair)
        if keys is None:
            return self._ready(order.relay)
        socket, connection = self._sockets.next(), self._rng.randbytes(CONNECTION_BYTES)
        handshake, settings = keys.handshake(self._nonce_secret, connection), self._settings

        def method(by: UdpSocket) -> Relay:
            own = order.key or key
            about = order.relay, order.token
            return Relay(by, *about, keys=handshake, key=own, settings=settings, at=order.at)

        until = now + settings.relay_within
        leg = Leg(order, socket, method(socket), keys, connection, until, method)
        if self._may_join:
            leg.joins_at = now + (0.0 if udp_is_silent else settings.relay_tcp_after)
        self._legs.append(leg)
        started = self._carry(leg, leg.method.start(now), now)
        return [socket.open(), *started, *self._join(leg, now)]

    def turn_ordered(self, order: m.OpenTurn, now: float) -> list[do.Action]:
        """One of the two hosts is to have its TURN server relay for the pair: this one, where it has the peer's
        address. Refused in silence as `ordered`."""
        is_own = bool(order.candidates)
        fits = self._turn is m.TurnPart.HAS if is_own else self._turn is not m.TurnPart.NEVER
        if self._pair is None or not fits:
            return []
        keys = self._keys_of(order, self._pair)
        if keys is None:
            return self._ready(order.relay)
        socket, connection = self._sockets.next(), self._rng.randbytes(CONNECTION_BYTES)
        handshake = keys.handshake(self._nonce_secret, connection)
        method = Turn(socket, order, keys=handshake, settings=self._settings, is_own=is_own)
        until = now + self._settings.turn_within
        self._legs.append(leg := Leg(order, socket, method, keys, connection, until))
        return self._carry(leg, method.start(now), now)

    def turn_told(self, told: m.TurnAddress, now: float, *, may_be_there: bool) -> list[do.Action]:
        """The peer's TURN server relays there, says the server."""
        leg = self._present(told.relay)
        if leg is None or not isinstance(leg.method, Turn):
            return []
        if not may_be_there:
            return self._drop(leg, "")
        return self._carry(leg, leg.method.told(told.candidate.endpoint, now), now)

    def turn_opened(self, generation: int, address: Endpoint, now: float) -> list[do.Action]:
        """This host's TURN server relays at `address`."""
        leg = self._at(generation)
        if leg is None or not isinstance(leg.method, Turn):
            return []
        if leg.is_of_the_past or not self._may_speak():
            return self._drop(leg, "the server that has ordered it is gone")
        return self._carry(leg, leg.method.allocated(address), now)

    def turn_failed(self, generation: int, reason: str) -> list[do.Action]:
        """This host's TURN server relays nothing for that socket, or no more."""
        leg = self._at(generation)
        return self._turn_news.failed(reason) + ([] if leg is None else self._drop(leg, reason))

    def stream_opened(self, generation: int, remote: Endpoint, now: float) -> list[do.Action]:
        """A connection has joined its relay: it takes the place of the socket that the server has not answered."""
        leg = self._at(generation)
        if leg is None or leg.stream is None:
            return []
        stream, leg.stream = leg.stream, None
        if leg.method.state is not RelayState.ASKING:
            return [stream.close()]
        assert leg.make_method is not None, "a connection leads to the server's relay"
        before, leg.socket, leg.method = leg.socket, stream, (joined := leg.make_method(stream))
        return [before.close(), *self._carry(leg, joined.joined(remote, now), now)]

    def stream_broken(self, generation: int, reason: str) -> list[do.Action]:
        """A connection to a relay could not be made, or has ended."""
        leg = self._at(generation)
        if leg is None:
            return []
        if leg.stream is not None:
            stream, leg.stream = leg.stream, None
            return [stream.close()]
        return self._drop(leg, f"the connection to the relay: {reason}")

    def failed(self, generation: int, reason: str, now: float) -> list[do.Action]:
        """The socket of that number could not be opened, or carry the path."""
        leg = self._at(generation)
        if leg is None:
            return []
        if leg.path is not None:
            return self._drop(leg, reason)
        leg.opens_at = now + self._settings.socket_again
        return []

    def news(self, news: m.RelayNews) -> list[do.Action]:
        """The server's word about a relay; all but one end it."""
        told: list[do.Action] = [do.Tell(note.RelayTold(news.code, news.text))]
        leg = self._present(news.relay)
        if news.code == m.RelayCode.SLOW:
            return told
        if news.code == m.RelayCode.DONE:
            told = self._turn_news.declined(leg) if leg is not None and self._is_first() else []
        return told if leg is None else told + self._drop(leg, news.text)

    def peer_left(self, now: float) -> list[do.Action]:
        """A path has to show that it lives; a relay that carries none yet would only keep the next one waiting."""
        for path in self.paths:
            path.doubt(now)
        pending = [each for each in self._legs if each.path is None]
        return [act for each in pending for act in self._drop(each, "the other side has left")]

    def met(self, instance: bytes, now: float) -> list[do.Action]:
        """The peer's process is `instance`: the server's relays to an earlier one lead nowhere. TURN may show that it lives."""
        actions: list[do.Action] = []
        for leg in [each for each in self._legs if each.order.peer.instance != instance]:
            if isinstance(leg.order, m.OpenTurn) and leg.path is not None:
                leg.path.doubt(now, self._settings.replaced_within)
            else:
                actions += self._drop(leg, "the other side has restarted")
        return actions

    def link_lost(self) -> None:
        """The server is gone, or will have forgotten this connection."""
        for leg in self._legs:
            leg.is_of_the_past = True

    # Datagrams, time, the end

    @property
    def peer(self) -> str:
        """The peer's id."""
        return self._identity.peer

    def arrived(
        self, datagram: Datagram, source: Endpoint, generation: int, now: float
    ) -> list[do.Action]:
        """A datagram came in by the socket of that number."""
        leg = self._at(generation)
        return (
            [] if leg is None else self._carry(leg, leg.method.arrived(datagram, source, now), now)
        )

    def path_at(self, generation: int) -> Path | None:
        """The path of the socket of that number."""
        leg = self._at(generation)
        return None if leg is None else leg.path

    def due(self, now: float) -> list[do.Action]:
        """The deadline has come."""
        actions: list[do.Action] = []
        for leg in list(self._legs):
            path = leg.path
            if leg.closes_at is not None and now >= leg.closes_at:
                actions += self._drop(leg, "")
            elif path is None and now >= leg.until:
                actions += self._drop(leg, "the relay could not be reached in time")
            elif path is None:
                if leg.opens_at is not None and now >= leg.opens_at:
                    leg.opens_at = None
                    actions += [leg.socket.open(), *self._carry(leg, leg.method.start(now), now)]
                if leg.method.deadline is not None and now >= leg.method.deadline:
                    actions += self._carry(leg, leg.method.due(now), now)
                actions += self._join(leg, now)
            elif now >= path.deadline:
                silent = path.falls_silent(now)
                actions += path.due(now)
                actions += self._carry(leg, leg.method.rebind(), now) if silent else []
                actions += self._without_server(leg, path, now)
        return actions + self.ended()

    def _without_server(self, leg: Leg, path: Path, now: float) -> list[do.Action]:
        """The path may be dead. Of another server nobody tells this side that it is gone: where it is silent as well, this side
        asks its own for another relay."""
        method = leg.method
        if not (isinstance(method, Relay) and method.is_without_server and path.is_suspect(now)):
            return []
        return self._drop(leg, "the server that had the relay does not answer")

    def ended(self) -> list[do.Action]:
        """Drop the paths that have ended."""
        actions: list[do.Action] = []
        for leg in list(self._legs):
            if leg.path is not None and leg.path.end is not None:
                actions += self._drop(leg, leg.path.end)
        return actions

    def leave(self, path: Path, at: float) -> None:
        """Nothing is sent on `path` any more, by either side: close it at `at`."""
        leg = self._at(path.generation)
        if leg is not None and leg.closes_at is None:
            leg.closes_at = at

    def keep(self, path: Path) -> None:
        """`path` carries again."""
        leg = self._at(path.generation)
        if leg is not None:
            leg.closes_at = None

    def rebind(self, stale: frozenset[int], carrier: Path | None, now: float) -> list[do.Action]:
        """The sockets `stale` lead nowhere any more: go on from fresh ones. `carrier`: the path that programs' datagrams
        take."""
        actions: list[do.Action] = []
        for leg in [each for each in self._legs if each.socket.generation in stale]:
            path, before = leg.path, leg.socket
            method = leg.method
            if path is None or isinstance(method, Turn) or method.name != MethodName.RELAY:
                actions += self._drop(leg, "this host has changed its network")
                continue
            leg.socket = self._sockets.next()
            method.move(leg.socket)
            path.move(leg.socket)
            actions += [leg.socket.open(), *path.use(leg.order.peer.instance)]
            actions += [do.SelectPath(path.generation)] if path is carrier else []
            actions += [before.close(), *self._carry(leg, method.rebind(), now)]
        return actions

    def close(self) -> list[do.Action]:
        """For good, with a word to the peer on the paths that stand."""
        actions: list[do.Action] = []
        for leg in self._legs:
            actions += [] if leg.path is None else leg.path.farewell()
            actions += leg.close()
        self._legs.clear()
        return actions

    def _join(self, leg: Leg, now: float) -> list[do.Action]:
        """Try TCP as well, once that is due and UDP has not been answered."""
        if leg.joins_at is None or now < leg.joins_at:
            return []
        leg.joins_at = None
        if leg.method.state is not RelayState.ASKING or not isinstance(leg.order, m.OpenRelay):
            return []
        leg.stream = self._sockets.next()
        return [do.OpenStream(leg.stream.generation, leg.order.ticket, leg.order.at)]

    def _present(self, relay: int) -> Leg | None:
        """The way to the relay that the server knows by that number now."""
        present = [each for each in self._legs if not each.is_of_the_past]
        return next((each for each in present if each.order.relay == relay), None)

    def _at(self, generation: int) -> Leg | None:
        for leg in self._legs:  # asked several times a datagram: generators cost more
            for end in (leg.socket, leg.stream):
                if end is not None and end.generation == generation:
                    return leg
        return None

    def _keys_of(self, order: m.OpenRelay | m.OpenTurn, pair: KeyPair) -> RoundKeys | None:
        """Those of the path that was ordered, by the `pair` that was offered for it; None: the offers do not fit."""
        self._pair = None
        ours = self._security.offer(self._instance, pair.public)
        try:
            return self._security.relay_keys((self._identity.id, self.peer), order, ours, pair)
        except KeyRefusedError:
            return None

    def _fresh_key(self) -> bytes:
        assert self._security.make_key is not None
        if self._pair is None:
            self._pair = self._security.make_key(self._rng)
        return self._pair.public

    def _drop(self, leg: Leg, reason: str) -> list[do.Action]:
        self._legs.remove(leg)
        if leg.path is not None:
            leg.path.end = leg.path.end or reason
        done = [] if leg.is_of_the_past else self._ready(leg.order.relay)
        return [*leg.close(), *done]

    def _ready(self, relay: int) -> list[do.Action]:
        """Tell the server that this side has done with that relay, and can take another. The next registration does so
        as well."""
        if not self._may_speak():
            return []
        return [do.SendMessage(m.RelayReady(relay, self._fresh_key()))]

    def _carry(self, leg: Leg, outputs: list[Output], now: float) -> list[do.Action]:
        """The method's actions; in the place of its proof, all that follows from it."""
        actions: list[do.Action] = []
        for output in outputs:
            actions += (
                self._proven(leg, output.pair, now) if isinstance(output, Proven) else [output]
            )
        return actions

    def _proven(self, leg: Leg, pair: NominatedPair, now: float) -> list[do.Action]:
        theirs = pair.connection
        epochs = self._security.epochs(leg.keys, leg.connection, theirs, self._rng, now)
        given = pair, epochs, self._settings, self._rng, now
        added = CHANNEL_OCTETS if isinstance(leg.method, Turn) else 0
        if added:
            self._turn_news.stands()
        leg.path = path = Path(*given, method=leg.method.name, added=added)
        used = path.use(leg.order.peer.instance)
        if not self._is_first():
            return used
        return [*used, established(0, 0, path, self._security.vouched(self.peer))]
