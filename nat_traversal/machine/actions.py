"""The actions that come out of the two machines, for an adapter to carry out in the order given.

One of them is `Tell`. Its notices are for people, carry no secret, and nothing is built from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nat_traversal.crypto.epochs import Epochs
from nat_traversal.machine.events import ConnectionId, LocalAddress
from nat_traversal.machine.notices import Notice
from nat_traversal.wire.datagrams import Datagram, Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Message


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
class FindHosts:
    """Client: find the addresses of this host at which that socket may be reached. `HostsFound` answers."""

    generation: int
    hosts: bool = True
    """Those in its own network."""
    ipv6: bool = False
    """Its IPv6 address, with a socket of that version beside the other."""


@dataclass(frozen=True, slots=True)
class MapPort:
    """Client: let the router lead a port to that socket, until that is closed. `RouterMaps` tells."""

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
    hops: int = 0
    """At a client: it ends at this router on its way (IP's TTL); 0: at none."""
    is_traced: bool = False
    """`HopTold` is to tell which router that is."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Client: connect to the server once more and join a relay with `ticket`. Known from now on by
    `generation`, as a socket is; answer with `StreamOpened` or `StreamBroken`."""

    generation: int
    ticket: bytes = field(repr=False)
    at: Endpoint | None = None
    """The server that has the relay; None: the present one."""


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Client: let this host's TURN server relay for a peer that was seen at the endpoints `peers`, and let datagrams in
    from their addresses. Known from now on by `generation`, as a socket is; answer with `TurnOpened` or `TurnBroken`."""

    generation: int
    peers: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class UseStream:
    """Server: what comes and goes on that connection from now on are datagrams."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class SendOnStream:
    """Server: send one datagram over that connection; none if it does not read."""

    datagram: Datagram
    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class UsePath:
    """Client: frames go between that socket and `remote` until the socket is closed, users' datagrams from
    there as well. Those from here follow `SelectPath`."""

    generation: int
    remote: Endpoint
    epochs: Epochs = field(repr=False)
    """Seals and opens its frames."""
    instance: bytes = field(default=b"", repr=False)
    """The peer's process: programs' flows go on while it is the same. Empty: always another."""
    roams: bool = field(default=False, repr=False)
    """Frames from other addresses are told by `events.PeerElsewhere`; else they are dropped."""
    is_relayed: bool = field(default=False, repr=False)
    """It leads through the server's relay."""


@dataclass(frozen=True, slots=True)
class RebindUdp:
    """Client: this host's datagrams leave from another address now: let the path of that socket go on from there, by the
    same port."""

    generation: int


@dataclass(frozen=True, slots=True)
class RedirectPath:
    """Client: from now on frames go between that socket and `remote`, where the peer is now."""

    generation: int
    remote: Endpoint


@dataclass(frozen=True, slots=True)
class SelectPath:
    """Client: users' datagrams go by that socket's path from now on."""

    generation: int


@dataclass(frozen=True, slots=True)
class MatchServices:
    """Client: these named services go between this side and `peer`; `numbers` has the peer's number of each of
    this side's. Datagrams of others are dropped."""

    peer: str
    numbers: Mapping[int, int]
    certificate: bytes = b""
    """The one that the peer's process shows in QUIC, for TCP services; empty: it has told none."""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Client: seal `plain` into a frame, and send it on the path of that socket."""

    kind: Kind
    plain: bytes = field(repr=False)
    generation: int
    to: Endpoint | None = None
    """Where the peer may be; None: where the path leads."""


@dataclass(frozen=True, slots=True)
class SizeFrames:
    """Client: frames of programs on the path of that socket may have `size` octets of UDP payload."""

    generation: int
    size: int


@dataclass(frozen=True, slots=True)
class FindOutNat:
    """Client: find out how this host's NAT behaves, with the server's help, and feed `events.NatFound`."""


@dataclass(frozen=True, slots=True)
class AskStore:
    """Server: ask the store that several servers share: a `server.cluster.words.StoreRequest`."""

    request: object


class Fault(StrEnum):
    """The reason why a HELLO or CONFIRM was dropped: a counter's name."""

    FORGED = "handshake-forged"
    """The peer's key of the round has not made it."""
    REPLAYED = "handshake-replayed"
    """It came before, from elsewhere."""


@dataclass(frozen=True, slots=True)
class Count:
    """Count a dropped datagram of the handshake. It was not answered, and has changed nothing."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the user of an agent, or the operator of a server. It has no other effect."""

    notice: Notice


Action = (
    OpenControl
    | CloseControl
    | SendMessage
    | OpenUdp
    | FindHosts
    | MapPort
    | CloseUdp
    | SendDatagram
    | OpenStream
    | OpenTurn
    | UseStream
    | SendOnStream
    | UsePath
    | RebindUdp
    | RedirectPath
    | SelectPath
    | MatchServices
    | SendFrame
    | SizeFrames
    | FindOutNat
    | AskStore
    | Count
    | Tell
)
