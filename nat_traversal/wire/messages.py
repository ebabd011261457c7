"""The messages of a control connection, as values.

`control` gives them their form on the wire; `docs/protocol.md` tells when each is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from nat_traversal.wire.candidates import AddedCandidates as AddedCandidates
from nat_traversal.wire.candidates import Candidate as Candidate
from nat_traversal.wire.candidates import HostAddresses as HostAddresses
from nat_traversal.wire.candidates import OpenSocket as OpenSocket
from nat_traversal.wire.candidates import PortMapped as PortMapped
from nat_traversal.wire.candidates import SparePort as SparePort
from nat_traversal.wire.guessing import Agree as Agree
from nat_traversal.wire.guessing import GuessLater as GuessLater
from nat_traversal.wire.guessing import NatTold as NatTold
from nat_traversal.wire.offers import Offer
from nat_traversal.wire.relay_messages import OpenRelay as OpenRelay
from nat_traversal.wire.relay_messages import RelayCode as RelayCode
from nat_traversal.wire.relay_messages import Relaying as Relaying
from nat_traversal.wire.relay_messages import RelayJoin as RelayJoin
from nat_traversal.wire.relay_messages import RelayJoined as RelayJoined
from nat_traversal.wire.relay_messages import RelayNews as RelayNews
from nat_traversal.wire.relay_messages import RelayReady as RelayReady
from nat_traversal.wire.turn import OpenTurn as OpenTurn
from nat_traversal.wire.turn import TurnAddress as TurnAddress
from nat_traversal.wire.turn import TurnPart as TurnPart

MOST_AT_ONCE = 32
"""Sockets that speak at once in a round, and ports of the peer that one of them speaks to."""


class Role(StrEnum):
    """A sends HELLO 1 and 3, B sends HELLO 2."""

    A = "a"
    B = "b"


class ErrorCode(StrEnum):
    """Why the server says no. All but `UNKNOWN_MESSAGE` end the connection."""

    ID_IN_USE = "id-in-use"
    BAD_ID = "bad-id"
    BAD_MESSAGE = "bad-message"
    UNSUPPORTED_VERSION = "unsupported-version"
    SERVER_FULL = "server-full"
    TOO_SLOW = "too-slow"
    TOO_FAST = "too-fast"
    REPLACED = "replaced"
    KEY_USED = "key-used"
    BAD_PROOF = "bad-proof"
    TOKEN_NEEDED = "token-needed"  # noqa: S105
    BAD_TOKEN = "bad-token"  # noqa: S105
    NOT_ALLOWED = "not-allowed"
    UNKNOWN_MESSAGE = "unknown-message"


class Verdict(StrEnum):
    """Why an attempt ended without a path."""

    UDP_BLOCKED = "udp-blocked"
    PEER_SILENT = "peer-silent"
    NO_PATH = "no-path"
    NO_ADDRESS = "no-address"
    KEYS_DIFFER = "keys-differ"


class PeerState(StrEnum):
    """The server's knowledge of the other host."""

    ABSENT = "absent"
    PRESENT = "present"
    LEFT = "left"


class Serves(StrEnum):
    """The side of programs that a client serves."""

    LISTEN = "listen"
    CONNECT = "connect"
    BOTH = "both"
    API = "api"
    UNTOLD = ""
    """It has not said, or in a word that only a later version knows."""

    def meets(self, other: Serves) -> bool:
        """Whether datagrams of programs can cross between the two at all."""
        return self is not other or self not in (Serves.LISTEN, Serves.CONNECT)


@dataclass(frozen=True, slots=True)
class Register:
    """Client to server, first line: my id, and my peer's."""

    transaction: int
    versions: tuple[int, ...]
    id: str
    peer: str
    key: bytes = field(repr=False)
    """Chosen by the client for this connection, 32 octets: authenticates its announces."""
    generation: int
    """The socket that is being announced, or 0: connected already, no attempt wanted."""
    offer: Offer
    """With the ephemeral key of that socket."""
    serves: Serves = Serves.UNTOLD
    via: str = ""
    """The server's IP address that the client has connected to; empty: untold."""
    owner: bytes = b""
    """The X25519 key that holds the id: the client's identity, or a key of its process. Empty: none."""
    peer_key: bytes = b""
    """The identity that the peer must have; empty where none is demanded."""
    relaying: Relaying = Relaying.NEVER
    relay_public: bytes = b""
    """The ephemeral key for the next relayed path: 32 octets, or none."""
    access: bytes = field(default=b"", repr=False)
    """The server's token as `crypto.access.shown` shows it: 40 octets, or none."""
    methods: tuple[str, ...] = ()
    """The further methods in which the client takes part, beside `ordered-hello` and the relay."""
    turn: TurnPart = TurnPart.NEVER


@dataclass(frozen=True, slots=True)
class Challenge:
    """Server to client: the id is held by the same key. Prove that this key is yours."""

    nonce: bytes
    """16 octets, fresh."""
    public: bytes
    """An X25519 key of the server, for this one proof."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Client to server: the answer to one `Challenge`."""

    mac: bytes = field(repr=False)
    """`nat_traversal.crypto.possession.proof`: 32 octets."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Server to client: the registration stands."""

    transaction: int
    version: int
    heartbeat: float
    """Seconds between pings from either side; two missed end the connection."""
    pairs: int = 1
    """Registrations that one connection may carry."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Server to client: no, and why. The wire's name is ``error``."""

    code: str
    """One of `ErrorCode`, or one that a later server knows."""
    text: str


@dataclass(frozen=True, slots=True)
class GoAway:
    """Server to client: this server ends. Come back, to another of its addresses first. The wire's name is ``goaway``."""

    retry_in: float
    """Seconds, 0 to 3600, another number for each client."""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """Server to client: the other host came, left, or is not here yet."""

    state: PeerState
    serves: Serves = Serves.UNTOLD
    """The side that the other host serves, once it is here."""
    asked_by: str = ""
    """The id of a host that is here and wants this one, which wants another."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Server to client: a host that bears the peer's id and wants this one is here, without the keys that
    this one demands."""

    peer: Offer
    """Its offer, with zeros for `instance` and without `public`."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Client to server to the peer: the service behind ``--connect`` refuses datagrams, or answers again.
    The wire's name is ``service``."""

    up: bool


@dataclass(frozen=True, slots=True)
class SocketOpened:
    """Client to server: the socket that was ordered is open. The wire's name is ``opened``."""

    generation: int
    public: bytes
    """Its ephemeral key, as in `Offer`."""


@dataclass(frozen=True, slots=True)
class StartRound:
    """Server to both clients, step 3: the peer's addresses and keys, the role, the round's token."""

    attempt: int
    round: int
    role: Role
    token: bytes = field(repr=False)
    candidates: tuple[Candidate, ...]
    peer: Offer
    """With the ephemeral key of the socket that is at `candidates`."""
    method: str = "ordered-hello"
    """The round's."""
    sockets: int = 0
    """Speak from so many fresh sockets, which the server has not seen, instead of the announced one."""
    ports: tuple[int, ...] = ()
    """Further ports at the first candidate's address, at each of which the peer may be."""


@dataclass(frozen=True, slots=True)
class Validated:
    """Server to client: the peer has shown that it receives at `address`, a candidate of the present round."""

    address: str


@dataclass(frozen=True, slots=True)
class SendHello:
    """Server to one client, steps 4 to 6: send HELLO number `step` (1, 2, 3); 0: openers that end between the NATs."""

    transaction: int
    attempt: int
    round: int
    step: int


@dataclass(frozen=True, slots=True)
class HelloSent:
    """Client to server: the answer to one `SendHello`, same transaction."""

    transaction: int
    heard: bool = False
    """A HELLO of the peer has come in this round."""
    opened: bool = False
    """An opener has left that ends between the NATs, as far as routers have told."""


@dataclass(frozen=True, slots=True)
class Established:
    """Client to server: this side has proof that the path works both ways."""

    attempt: int
    round: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Server to both clients: the attempt ended without a path."""

    attempt: int
    code: str
    """One of `Verdict`, or one that a later server knows."""
    text: str
    lasting: bool = False
    """The next attempt will end so too, as long as neither NAT changes."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Client to server: I have no path (any more) and want a new attempt with this socket."""

    generation: int
    public: bytes
    """Its ephemeral key, as in `Offer`."""


@dataclass(frozen=True, slots=True)
class Decline:
    """Client to server: I take no part in this attempt, since the peer's keys are not what I demand."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Either way: are you there? The wire's name is ``ping``."""

    transaction: int


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """The answer to one `Heartbeat`. The wire's name is ``pong``."""

    transaction: int


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A well-formed line whose type this version does not know."""

    type: str


@dataclass(frozen=True, slots=True)
class ForPair:
    """A message about a further registration of the connection, by its number: 1 to `pairs.MOST_PAIRS`."""

    pair: int
    message: Message | UnknownMessage


@dataclass(frozen=True, slots=True)
class Leave:
    """Either way: this registration has ended, and the connection goes on with the others."""


Message = (
    Register
    | Challenge
    | Proof
    | Registered
    | Refused
    | GoAway
    | PeerStatus
    | Mismatch
    | ServiceState
    | OpenSocket
    | SocketOpened
    | HostAddresses
    | SparePort
    | PortMapped
    | StartRound
    | AddedCandidates
    | Validated
    | SendHello
    | Agree
    | GuessLater
    | NatTold
    | HelloSent
    | Established
    | Failed
    | Retry
    | Decline
    | OpenRelay
    | RelayReady
    | RelayJoin
    | RelayJoined
    | RelayNews
    | OpenTurn
    | TurnAddress
    | Heartbeat
    | HeartbeatAnswer
    | Leave
    | ForPair
)
