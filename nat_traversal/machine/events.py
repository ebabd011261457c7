"""The events that go into the two machines."""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.wire.datagrams import Datagram, Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Message, UnknownMessage
from nat_traversal.wire.nat_facts import NatFacts
from nat_traversal.wire.services import ServiceOffer

ConnectionId = int
"""The adapter's number for one accepted control connection; never used twice."""


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """The IP address of this host that a datagram was sent to; the answer has to leave from it."""

    address: str


@dataclass(frozen=True, slots=True)
class ControlReached:
    """Client: the server has accepted; `ControlOpened` follows, after what TLS needs."""

    connection: ConnectionId = 0


@dataclass(frozen=True, slots=True)
class ControlOpened:
    """A control connection stands. At a client there is only one: number 0."""

    connection: ConnectionId = 0
    remote: Endpoint | None = None
    """The other end: at a client the server's address that it has connected to."""
    certificate: bytes = b""
    """At a client: SHA-256 of the server's certificate; empty without TLS."""
    local: Endpoint | None = None
    """At a server: this end."""


@dataclass(frozen=True, slots=True)
class ControlReceived:
    """One message came over a control connection."""

    message: Message | UnknownMessage
    connection: ConnectionId = 0


@dataclass(frozen=True, slots=True)
class ControlBroken:
    """A control connection could not be made or has ended. `reason` is for people."""

    reason: str
    connection: ConnectionId = 0
    lacks_room: bool = False
    """At a client: there was no room for one more socket."""
    remedy: str = ""
    """At a client: the change that would mend it, a clause; empty: `reason` says it, or none is known."""


@dataclass(frozen=True, slots=True)
class ControlGarbled:
    """The other end sent a line that is not in the protocol. `reason` says what was wrong."""

    reason: str
    connection: ConnectionId = 0


@dataclass(frozen=True, slots=True)
class DatagramArrived:
    """A well-formed datagram came from `source`."""

    datagram: Datagram
    source: Endpoint
    generation: int = 0
    """At a client: the socket it came in by."""
    local: LocalAddress | None = None
    """At a server that listens on every address: the one that was asked."""


@dataclass(frozen=True, slots=True)
class StreamArrived:
    """Server: a well-formed datagram came over a connection that has joined a relay."""

    datagram: Datagram
    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """Client: the connection `generation` has joined its relay, at the server's address `remote`."""

    generation: int
    remote: Endpoint


@dataclass(frozen=True, slots=True)
class StreamBroken:
    """Client: that connection could not be made, or has ended."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class TurnOpened:
    """Client: this host's TURN server relays at `address` for the socket `generation`, and lets the peer in."""

    generation: int
    address: Endpoint


@dataclass(frozen=True, slots=True)
class TurnBroken:
    """Client: it does not, or not any more. `reason` is for people, with the remedy."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class FrameOpened:
    """Client: an authentic frame came on the path of a socket, and is none of a program's."""

    kind: Kind
    plain: bytes = field(repr=False)
    generation: int
    source: Endpoint | None = None
    """From where; None: from where the path leads."""


@dataclass(frozen=True, slots=True)
class PeerElsewhere:
    """Client: an authentic frame of `kind`, newer than any before, came on the path of a socket, but from `source`."""

    source: Endpoint
    kind: Kind
    generation: int


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """Client: this host's network stack refused a frame of `size` octets as too long."""

    size: int
    generation: int


@dataclass(frozen=True, slots=True)
class LargerFramesSent:
    """Client: frames of programs above the base size flow on the path of a socket."""

    generation: int


@dataclass(frozen=True, slots=True)
class DatagramsOffered:
    """Client: programs' datagrams leave on the path of a socket; told now and then while they do."""

    generation: int


@dataclass(frozen=True, slots=True)
class HostsFound:
    """Client: this host's own addresses, each with the port of a socket."""

    endpoints: tuple[Endpoint, ...]
    generation: int
    own_port: int = 0
    """The socket's; 0: not told."""


@dataclass(frozen=True, slots=True)
class RouterMaps:
    """Client: the router says that its `port` leads to a socket; None: no port does any more."""

    port: int | None
    generation: int


@dataclass(frozen=True, slots=True)
class HopTold:
    """Client: the router at `teller` says that a datagram of that socket has come to it and no further (ICMP time
    exceeded). Anybody may have made that up."""

    teller: str
    generation: int


@dataclass(frozen=True, slots=True)
class ActionFailed:
    """An action could not be carried out. Those after it were tried all the same."""

    action: object = field(repr=False)
    """One of `machine.actions`."""
    reason: str
    """For people."""
    lacks_room: bool = False
    """There was no room for one more socket: it passes once something else has ended."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The machine's deadline is due (or close to it: firing early does no harm)."""


@dataclass(frozen=True, slots=True)
class Woke:
    """Client: this host was suspended, and has just woken up."""


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """Client: this host's addresses or routes have changed, so that its datagrams leave by another way than before."""

    stale: frozenset[int] = frozenset()
    """The sockets whose own address is not the one that the kernel would choose now."""
    server_is_stale: bool = False
    """The same of the control connection."""


@dataclass(frozen=True, slots=True)
class ServiceChanged:
    """Client: a service to which this side connects has begun to refuse datagrams, or answers again."""

    up: bool
    peer: str = ""
    number: int = 0
    """0: the one behind ``--connect``. Else this side's number of a named one, for `peer`."""


@dataclass(frozen=True, slots=True)
class EchoWanted:
    """Client: a user wants to know whether `peer` answers on the path of now."""

    peer: str


@dataclass(frozen=True, slots=True)
class ServicesChanged:
    """Client: these are the named services for `peer` from now on."""

    peer: str
    offers: tuple[ServiceOffer, ...]
    certificate: bytes = b""
    """This process's, if one of them carries TCP."""


@dataclass(frozen=True, slots=True)
class AccessChanged:
    """Server: others may register than before: a `nat_traversal.access.Access`."""

    access: object


@dataclass(frozen=True, slots=True)
class NatFound:
    """Client: the answer to `actions.FindOutNat`."""

    facts: NatFacts


@dataclass(frozen=True, slots=True)
class StoreAnswered:
    """Server: the store that several servers share has said something: a `server.cluster.words.StoreAnswer`."""

    answer: object


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """Server: take nobody any more, and let every client go once its attempt is over."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The user wants an end."""


Event = (
    ControlReached
    | ControlOpened
    | ControlReceived
    | ControlBroken
    | ControlGarbled
    | DatagramArrived
    | StreamArrived
    | StreamOpened
    | StreamBroken
    | TurnOpened
    | TurnBroken
    | FrameOpened
    | PeerElsewhere
    | FrameRefused
    | LargerFramesSent
    | DatagramsOffered
    | HostsFound
    | RouterMaps
    | HopTold
    | ActionFailed
    | TimerFired
    | Woke
    | NetworkChanged
    | ServiceChanged
    | EchoWanted
    | ServicesChanged
    | AccessChanged
    | NatFound
    | StoreAnswered
    | DrainRequested
    | StopRequested
)
