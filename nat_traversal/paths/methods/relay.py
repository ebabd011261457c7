"""The method `relay`: bind a socket to the server's relay, and confirm the keys with the peer through it.

    host                    server                    peer
      |== BIND ===============>|                        |
      |<= BOUND, a nonce ======|                        |
      |== BIND, the nonce ====>|<======== likewise =====|
      |== LINK ================|=======================>|
      |<=======================|= LINK, echoes it ======|   proof, as in a round

The server's nonce shows it that the host receives where it sends from. LINK bears a MAC under the relay's
own keys, so the server can neither make one nor open what follows. A waiting side repeats.
"""

from __future__ import annotations

from enum import Enum, auto

from nat_traversal.crypto.proof import is_signed, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.paths.methods.linking import Linking
from nat_traversal.paths.methods.method import HandshakeKeys, Output, Proven
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Datagram, handle_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.octets import NONCE_BYTES
from nat_traversal.wire.relayed import Bind, Bound, Link


class RelayState(Enum):
    """Named by what the host waits for."""

    ASKING = auto()  # the server's nonce
    BINDING = auto()  # the server's word that the source counts
    LINKING = auto()  # proof that the peer hears this side through the relay
    STANDING = auto()  # nothing


class RelayTrigger(Enum):
    """The datagrams that come."""

    NONCE = auto()  # BOUND, for a BIND that has not echoed its nonce
    BOUND = auto()
    JOINED = auto()  # no datagram: a connection to the server has joined
    LINK = auto()  # the peer's, without an echo of this side's nonce
    PROOF = auto()  # the peer's, with it


_S, _T = RelayState, RelayTrigger
TABLE = {
    (_S.ASKING, _T.NONCE): _S.BINDING,
    (_S.ASKING, _T.JOINED): _S.LINKING,
    (_S.BINDING, _T.NONCE): _S.BINDING,
    (_S.BINDING, _T.BOUND): _S.LINKING,
    (_S.BINDING, _T.LINK): _S.BINDING,
    (_S.BINDING, _T.PROOF): _S.STANDING,
    (_S.LINKING, _T.LINK): _S.LINKING,
    (_S.LINKING, _T.PROOF): _S.STANDING,
    (_S.STANDING, _T.NONCE): _S.STANDING,
    (_S.STANDING, _T.LINK): _S.STANDING,
    (_S.STANDING, _T.PROOF): _S.STANDING,
}
"""All that is not listed is ignored."""


class Relay:
    """One socket's way to the relay of that number. `key` signs what is for the server, `token` is the relay's. `at`: the server
    that has it, where that is not the present one."""

    def __init__(
        self,
        socket: UdpSocket,
        relay: int,
        token: bytes,
        *,
        keys: HandshakeKeys,
        key: bytes,
        settings: ClientSettings,
        at: Endpoint | None = None,
    ) -> None:
        self.name = MethodName.RELAY.value
        self._at = at
        self._socket = socket
        self._relay = relay
        self._linking = Linking(token, keys)
        self._key = key
        self._settings = settings
        self._machine = StateMachine(f"relay {relay}", _S.ASKING, TABLE)
        self._number = 0
        self._server: Endpoint | None = None
        self._server_nonce = bytes(NONCE_BYTES)
        self._is_unanswered = False
        """`rebind` has asked the server, which has not answered."""
        self._pause = settings.hello_interval
        self.deadline: float | None = None
        """When to call `due` next."""

    @property
    def state(self) -> RelayState:
        return self._machine.state

    @property
    def is_without_server(self) -> bool:
        """Another server has the relay, and does not answer."""
        return self._at is not None and self._is_unanswered

    def start(self, now: float) -> list[Output]:
        """Ask the server for its nonce; also once more, where there was no socket for it."""
        self._pause = self._settings.hello_interval
        self.deadline = now + self._pause
        return [self._bind()]

    def joined(self, server: Endpoint, now: float) -> list[Output]:
        """In the place of `start`: the socket is a connection to `server` that has joined the relay."""
        self._machine.fire(_T.JOINED)
        self.name = MethodName.RELAY_TCP.value
        self._server = server
        self.deadline = now + self._pause
        return [self._link()]

    def move(self, socket: UdpSocket) -> None:
        """Go on from `socket`; the server has to hear of it by `rebind`."""
        self._socket = socket

    def rebind(self) -> list[Output]:
        """The path is silent: the NAT may show this socket elsewhere by now."""
        self._is_unanswered = True
        return [self._bind()] if self.name == MethodName.RELAY else []

    def arrived(self, datagram: Datagram, source: Endpoint, now: float) -> list[Output]:
        """A datagram came in by the socket. One that is not of this relay, or not authentic, is ignored."""
        match datagram:
            case Bound() if datagram.relay == self._relay and is_signed(datagram, self._key):
                return self._bound(datagram, source, now)
        link = self._linking.authentic(datagram)
        return [] if link is None else self._link_arrived(link, source)

    def due(self, now: float) -> list[Output]:
        """Say it again, the first BIND after growing pauses."""
        if self.state is _S.STANDING:
            self.deadline = None
            return []
        if self.state is _S.ASKING:
            self._pause = min(2 * self._pause, self._settings.announce_most)
        self.deadline = now + self._pause
        said: list[Output] = [] if self.state is _S.LINKING else [self._bind()]
        return said if self.state is _S.ASKING else [*said, self._link()]

    def _bound(self, bound: Bound, source: Endpoint, now: float) -> list[Output]:
        self._is_unanswered = False
        trigger = _T.BOUND if bound.stands else _T.NONCE
        if not self._machine.allows(trigger) or bound.number != self._number:
            return []
        self._server, self._server_nonce = source, bound.nonce
        was = self._machine.state
        self._machine.fire(trigger)
        if bound.stands:
            return []
        if was is _S.STANDING:
            return [self._bind()]
        self._pause = self._settings.hello_interval
        self.deadline = now + self._pause
        return [self._bind(), self._link()]

    def _link_arrived(self, link: Link, source: Endpoint) -> list[Output]:
        proven = self._linking.proves(link, source)
        trigger = _T.PROOF if proven else _T.LINK
        if source != self._server or not self._machine.allows(trigger):
            return []
        self._linking.take(link)
        stood = self.state is _S.STANDING
        self._machine.fire(trigger)
        said: list[Output] = [self._link()] if link.answer_wanted else []
        if stood or not proven:
            return said
        self.deadline = None
        return [*said, Proven(NominatedPair(self._socket, source, link.connection))]

    def _bind(self) -> do.Action:
        self._number += 1
        bind = Bind(handle_of(self._key), self._relay, self._number, self._server_nonce)
        return self._socket.send(signed(bind, self._key), self._at)

    def _link(self) -> do.Action:
        assert self._server is not None, "the server's nonce comes first"
        link = self._linking.link(self._server, answer_wanted=self.state is not _S.STANDING)
        return self._socket.send(link, self._at)
