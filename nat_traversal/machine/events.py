"""The events that go into the two machines, and the actions that come out.

Into both: events. Out of both: actions, for an adapter to carry out in the order given. One of them
is `Tell`: its notices are for people, carry no secret, and nothing is built from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.crypto.epochs import Epochs
from nat_traversal.wire.datagrams import Datagram, Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import (
    Candidate,
    Message,
    PeerState,
    Role,
    Serves,
    UnknownMessage,
)

ConnectionId = int
"""The adapter's number for one accepted control connection; never used twice."""


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """The IP address of this host that a datagram was sent to; the answer has to leave from it."""

    address: str


# Events


@dataclass(frozen=True, slots=True)
class ControlReached:
    """Client: the server has accepted; `ControlOpened` follows, after what TLS needs."""

    connection: ConnectionId = 0


@dataclass(frozen=True, slots=True)
class ControlOpened:
    """A control connection stands. At a client there is only one: number 0."""

    connection: ConnectionId = 0
    remote: Endpoint | None = None
    """At a client: the server's address that it has connected to."""


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
class FrameOpened:
    """Client: an authentic frame came on the path of a socket, and is none of a program's."""

    kind: Kind
    plain: bytes = field(repr=False)
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
class TimerFired:
    """The machine's deadline is due (or close to it: firing early does no harm)."""


@dataclass(frozen=True, slots=True)
class Woke:
    """Client: this host was suspended, and has just woken up."""


@dataclass(frozen=True, slots=True)
class ServiceChanged:
    """Client: the service behind ``--connect`` has begun to refuse datagrams, or answers again."""

    up: bool


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
    | FrameOpened
    | FrameRefused
    | LargerFramesSent
    | TimerFired
    | Woke
    | ServiceChanged
    | StopRequested
)


# Actions


@dataclass(frozen=True, slots=True)
class OpenControl:
    """Client: make a control connection; answer with `ControlOpened` or `ControlBroken`."""


@dataclass(frozen=True, slots=True)
class CloseControl:
    """End a control connection after what was sent on it is out. No `ControlBroken` follows."""

    connection: ConnectionId = 0


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send one message over a control connection."""

    message: Message
    connection: ConnectionId = 0


@dataclass(frozen=True, slots=True)
class OpenUdp:
    """Client: open a fresh UDP socket, known from now on by `generation`."""

    generation: int


@dataclass(frozen=True, slots=True)
class CloseUdp:
    """Client: close that socket."""

    generation: int


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Send one datagram. `destination` None is the server's UDP port."""

    datagram: Datagram
    destination: Endpoint | None
    generation: int = 0
    """At a client: the socket to send from."""
    local: LocalAddress | None = None
    """At a server: the address to send from; None leaves it to the kernel."""


@dataclass(frozen=True, slots=True)
class UsePath:
    """Client: users' datagrams go between that socket and `remote` until the socket is closed."""

    generation: int
    remote: Endpoint
    epochs: Epochs = field(repr=False)
    """Seals and opens its frames."""
    instance: bytes = field(default=b"", repr=False)
    """The peer's process: programs' flows go on while it is the same. Empty: always another."""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Client: seal `plain` into a frame, and send it on the path of that socket."""

    kind: Kind
    plain: bytes = field(repr=False)
    generation: int


@dataclass(frozen=True, slots=True)
class SizeFrames:
    """Client: frames of programs on the path of that socket may have `size` octets of UDP payload."""

    generation: int
    size: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the user of an agent, or the operator of a server. It has no other effect."""

    notice: Notice


Action = (
    OpenControl
    | CloseControl
    | SendMessage
    | OpenUdp
    | CloseUdp
    | SendDatagram
    | UsePath
    | SendFrame
    | SizeFrames
    | Tell
)


# Notices


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The control connection failed or broke. `retry_in` is None where the client gives up."""

    reason: str
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class RegisteredAtServer:
    """The server accepted this host's id."""

    id: str
    peer: str


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """The other host is here, is not here, or has left."""

    peer: str
    state: PeerState


@dataclass(frozen=True, slots=True)
class PeerElsewhere:
    """A host with the peer's id is here, but it wants another one than this host."""

    peer: str
    id: str
    """This host's."""


@dataclass(frozen=True, slots=True)
class AskedBy:
    """A host is here that wants this one, which wants another."""

    id: str
    peer: str
    """The one that this host wants."""


@dataclass(frozen=True, slots=True)
class PeerMissing:
    """Nobody has registered the peer's id for a while."""

    peer: str
    id: str
    """This host's."""
    seconds: float


@dataclass(frozen=True, slots=True)
class SidesAlike:
    """Both hosts serve the same side only, so that no program's datagram can cross."""

    peer: str
    serves: Serves


@dataclass(frozen=True, slots=True)
class ServiceAtPeer:
    """The service behind the peer's ``--connect`` refuses datagrams, or answers again."""

    peer: str
    up: bool


@dataclass(frozen=True, slots=True)
class MappingLearned:
    """The server saw this host's socket at `mapped` (server-reflexive)."""

    mapped: Endpoint
    generation: int


@dataclass(frozen=True, slots=True)
class AddressHidden:
    """The server sees this host on loopback, though this host has reached it elsewhere."""

    mapped: Endpoint
    via: str


@dataclass(frozen=True, slots=True)
class AnnounceUnanswered:
    """The server answers over TCP but not over UDP: a firewall in between drops UDP."""

    seconds: float


@dataclass(frozen=True, slots=True)
class RoundStarted:
    """The server began a round in which this host has `role`."""

    attempt: int
    round: int
    role: Role
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class HelloWentOut:
    """A HELLO was sent for the first time (repetitions are not told)."""

    round: int
    step: int
    destination: Endpoint


@dataclass(frozen=True, slots=True)
class HelloCameIn:
    """The peer's HELLO number `step` was heard for the first time."""

    round: int
    step: int
    source: Endpoint


@dataclass(frozen=True, slots=True)
class PathEstablished:
    """Each side has proof that the other hears it."""

    attempt: int
    round: int
    method: str
    """The rung of the ladder that worked."""
    remote: Endpoint
    generation: int
    vouched: str
    """The voucher for the peer, in words."""


@dataclass(frozen=True, slots=True)
class PathSized:
    """Frames of `size` octets of UDP payload pass on the path of that socket; longer datagrams are cut."""

    generation: int
    size: int


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """Neither role worked. `retry_in` is None where the client gives up."""

    code: str
    text: str
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class PathLost:
    """The path stood and has ended."""

    reason: str
    attempt_goes_on: bool = False
    """Only this side had proof when the round ended: the next round of the attempt follows, also
    for a client that gives up after one attempt."""


@dataclass(frozen=True, slots=True)
class ServerRefused:
    """The server said no, for good."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class HostRegistered:
    """Server: a host has come."""

    id: str
    peer: str


@dataclass(frozen=True, slots=True)
class HostLeft:
    """Server: a registered host has gone."""

    id: str


@dataclass(frozen=True, slots=True)
class HostRefused:
    """Server: a connection was ended with an error. `id` is None before a registration."""

    id: str | None
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class PairConnected:
    """Server: both hosts have reported that the path stands."""

    first: str
    second: str
    attempt: int
    round: int


@dataclass(frozen=True, slots=True)
class PairFailed:
    """Server: an attempt has ended without a path."""

    first: str
    second: str
    attempt: int
    code: str
    text: str


Notice = (
    ServerLost
    | RegisteredAtServer
    | PeerSeen
    | PeerElsewhere
    | AskedBy
    | PeerMissing
    | SidesAlike
    | ServiceAtPeer
    | MappingLearned
    | AddressHidden
    | AnnounceUnanswered
    | RoundStarted
    | HelloWentOut
    | HelloCameIn
    | PathEstablished
    | PathSized
    | AttemptFailed
    | PathLost
    | ServerRefused
    | HostRegistered
    | HostLeft
    | HostRefused
    | PairConnected
    | PairFailed
)
