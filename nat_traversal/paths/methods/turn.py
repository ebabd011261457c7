"""The method `turn`: confirm the keys with the peer through the TURN server that one of the two hosts has.

    host                  its TURN server             the server             peer
      |-- Allocate, permission ->|                        |                   |
      |-- turned(address) -------------------------------->|-- turned -------->|
      |<==== LINK =================|<========= LINK, to the relayed address =====|
      |===== LINK, echoes it =====>|==========================================>|   proof
      |<==== LINK, echoes that ====|<==========================================|   proof

The host with the TURN server speaks to where the peer's LINK came from (a peer-reflexive address), so that a NAT of the
peer may give any port. LINK bears a MAC under the path's own keys, and a nonce for the very address that it goes to.
The TURN server can neither make one nor open what follows. A waiting side repeats, after growing pauses.
"""

from __future__ import annotations

from enum import Enum, auto

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.paths.budget import TrafficBudget
from nat_traversal.paths.methods.linking import Linking
from nat_traversal.paths.methods.method import HandshakeKeys, Output, Proven
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Datagram
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.relayed import LINK_OCTETS

CHANNEL_OCTETS = 4
"""Octets before each frame between a host and its TURN server (RFC 8656 section 12.4)."""


class TurnState(Enum):
    """Named by what the host waits for."""

    ALLOCATING = auto()  # an address at the TURN server: its own, or word of the peer's
    LINKING = auto()  # proof that the peer hears this side
    STANDING = auto()  # nothing


class TurnTrigger(Enum):
    """The things that can happen."""

    ADDRESS = auto()
    LINK = auto()  # the peer's, without an echo of this side's nonce
    PROOF = auto()  # the peer's, with it


_S, _T = TurnState, TurnTrigger
TABLE = {
    (_S.ALLOCATING, _T.ADDRESS): _S.LINKING,
    (_S.LINKING, _T.LINK): _S.LINKING,
    (_S.LINKING, _T.PROOF): _S.STANDING,
    (_S.STANDING, _T.LINK): _S.STANDING,
    (_S.STANDING, _T.PROOF): _S.STANDING,
}
"""All that is not listed is ignored."""


class Turn:
    """One socket's way to the peer. With `is_own` the socket is an allocation at this host's TURN server."""

    name = MethodName.TURN.value

    def __init__(
        self,
        socket: UdpSocket,
        order: m.OpenTurn,
        *,
        keys: HandshakeKeys,
        settings: ClientSettings,
        is_own: bool,
    ) -> None:
        self._socket = socket
        self._relay = order.relay
        self._permitted = tuple(each.endpoint for each in order.candidates)
        self._linking = Linking(order.token, keys)
        self._settings = settings
        self._is_own = is_own
        self._machine = StateMachine(f"turn {order.relay}", _S.ALLOCATING, TABLE)
        self._budget = TrafficBudget()
        self.relayed: Endpoint | None = None
        """Where this host's TURN server relays."""
        self._remote: Endpoint | None = None
        self._pause = settings.hello_interval
        self.deadline: float | None = None
        """When to call `due` next."""

    @property
    def state(self) -> TurnState:
        return self._machine.state

    def start(self, now: float) -> list[Output]:
        """Open the socket, or allocate an address for the peer at the TURN server."""
        del now
        if self._is_own:
            return [do.OpenTurn(self._socket.generation, self._permitted)]
        return [self._socket.open()]

    def allocated(self, address: Endpoint) -> list[Output]:
        """This host's TURN server relays at `address`, and lets the peer in: the peer shall speak to it."""
        if not self._is_own or not self._machine.allows(_T.ADDRESS):
            return []
        self._machine.fire(_T.ADDRESS)
        self.relayed = address
        candidate = m.Candidate("relay", address)
        return [do.SendMessage(m.TurnAddress(self._relay, candidate))]

    def told(self, address: Endpoint, now: float) -> list[Output]:
        """The peer's TURN server relays at `address`, says the server."""
        if self._is_own or not self._machine.allows(_T.ADDRESS):
            return []
        self._machine.fire(_T.ADDRESS)
        self._remote = address
        return self._say(now)

    def arrived(self, datagram: Datagram, source: Endpoint, now: float) -> list[Output]:
        """A datagram came in by the socket. One that is not of this path, or not authentic, is ignored."""
        link = self._linking.authentic(datagram)
        if link is None:
            return []
        proven = self._linking.proves(link, source)
        trigger = _T.PROOF if proven else _T.LINK
        follows = self._is_own and self.state is _S.LINKING
        if not self._machine.allows(trigger) or (source != self._remote and not follows):
            return []
        self._remote = source
        self._linking.take(link)
        stood = self.state is _S.STANDING
        self._machine.fire(trigger)
        if proven:
            self._budget.validate(source.address)
            self.deadline = None
        said = self._say(now) if link.answer_wanted else []
        if stood or not proven:
            return said
        return [*said, Proven(NominatedPair(self._socket, source, link.connection))]

    def due(self, now: float) -> list[Output]:
        """Say it again."""
        self._pause *= 2
        return self._say(now)

    def rebind(self) -> list[Output]:
        """The path is silent. Nobody but the peer has to know where this socket is."""
        return []

    def _say(self, now: float) -> list[Output]:
        remote, wanted = self._remote, self.state is not _S.STANDING
        self.deadline = now + self._pause if wanted else None
        is_opening = not self._linking.has_heard
        if remote is None or not self._budget.take(remote, LINK_OCTETS, is_opening=is_opening):
            return []
        return [self._socket.send(self._linking.link(remote, answer_wanted=wanted), remote)]
