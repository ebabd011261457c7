"""The notices of both machines: what people are told of them. Notices carry no secret."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.machine import server_notices as server
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, PeerState, Role, Serves


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The control connection failed or broke. `retry_in` is None where the client gives up. `remedy`: the change that
    would mend it, a clause; empty: `reason` says it, or none is needed."""

    reason: str
    retry_in: float | None
    remedy: str = ""


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
    """The service that the peer connects to refuses datagrams, or answers again."""

    peer: str
    up: bool
    service: str = ""
    """Empty: the one behind ``--connect``."""


@dataclass(frozen=True, slots=True)
class ServicesReady:
    """Datagrams of these services cross: both sides have them."""

    peer: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceOnlyHere:
    """The peer has no service of that name."""

    peer: str
    service: str
    side: str
    """This side's: ``listen`` or ``connect``."""


@dataclass(frozen=True, slots=True)
class ServiceOnlyThere:
    """This side has no service of that name."""

    peer: str
    service: str
    side: str
    """The peer's: ``listen`` or ``connect``."""


@dataclass(frozen=True, slots=True)
class ServiceSidesAlike:
    """Both sides listen for that service, or both connect to it."""

    peer: str
    service: str
    side: str


@dataclass(frozen=True, slots=True)
class ServiceKindsDiffer:
    """The service is of one kind here, and of another one there."""

    peer: str
    service: str
    here: str
    there: str


@dataclass(frozen=True, slots=True)
class MappingLearned:
    """The server saw this host's socket at `mapped` (server-reflexive)."""

    mapped: Endpoint
    generation: int


@dataclass(frozen=True, slots=True)
class PortForwarded:
    """The router leads its `port` to this host's socket: a datagram of the server has come by it."""

    port: int
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
    reason: str = ""
    """Why no announce has left this host; empty: they have, as far as is known."""


@dataclass(frozen=True, slots=True)
class SocketLacking:
    """This host gives no UDP socket now. It is tried again every `retry_in` seconds."""

    reason: str
    retry_in: float


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
class PeerAnswered:
    """The peer has answered a ping that a user asked for (`events.EchoWanted`)."""

    generation: int
    seconds: float
    """There and back."""


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """Neither role worked. `retry_in` is None where the client gives up."""

    code: str
    text: str
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class NotDirect:
    """No direct path opened; the relay goes on. `retry_in` seconds later another attempt follows."""

    code: str
    text: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class PeerRoamed:
    """The peer's address has changed, and the path goes on there."""

    remote: Endpoint
    generation: int


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """This host's network has changed: the path is asked whether it lives, and no pause goes on."""


@dataclass(frozen=True, slots=True)
class Woke:
    """This host has slept, or this program was stopped: the same follows."""


@dataclass(frozen=True, slots=True)
class PathMoved:
    """Programs' datagrams go another way from now on. A relayed path that came up beside a direct one is first told here."""

    method: str
    remote: Endpoint
    generation: int
    reason: str
    """Why the way before is no good any more; empty: this one is better."""


@dataclass(frozen=True, slots=True)
class WhyRelayed:
    """Both NATs are known: why the path is relayed, and what would make it direct. Clauses."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RelayTold:
    """The server's word about its relay: why there is none, or what became of it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """This host's TURN server relays nothing, or no more. With the remedy."""

    reason: str


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
class GuessDue:
    """Client: a direct path would take guesses of ports, and the server lets this pair try that later."""

    wait: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class HopSought:
    """Client: a first packet to the peer ends at router number `hop`, so that it opens this host's NAT alone. None:
    no router between the NATs has answered."""

    round: int
    hop: int | None
    destination: Endpoint


HostRegistered = server.HostRegistered
HostLeft = server.HostLeft
HostRefused = server.HostRefused
StoreReached = server.StoreReached
StoreLost = server.StoreLost
NoRoom = server.NoRoom
ClientsHidden = server.ClientsHidden
PairConnected = server.PairConnected
PairFailed = server.PairFailed

Notice = (
    ServerLost
    | RegisteredAtServer
    | PeerSeen
    | AskedBy
    | PeerMissing
    | SidesAlike
    | ServiceAtPeer
    | ServicesReady
    | ServiceOnlyHere
    | ServiceOnlyThere
    | ServiceSidesAlike
    | ServiceKindsDiffer
    | MappingLearned
    | PortForwarded
    | AddressHidden
    | AnnounceUnanswered
    | SocketLacking
    | RoundStarted
    | HelloWentOut
    | HelloCameIn
    | PathEstablished
    | PathSized
    | PeerAnswered
    | AttemptFailed
    | NotDirect
    | PathMoved
    | PeerRoamed
    | NetworkChanged
    | Woke
    | WhyRelayed
    | RelayTold
    | TurnFailed
    | GuessDue
    | HopSought
    | PathLost
    | ServerRefused
    | HostRegistered
    | HostLeft
    | HostRefused
    | StoreReached
    | StoreLost
    | NoRoom
    | ClientsHidden
    | PairConnected
    | PairFailed
)
