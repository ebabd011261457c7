"""Questions to STUN servers and routers, what was heard, and what is asked of the sockets. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.port_mapping import MappingProtocol


class Tcp(StrEnum):
    """The end of a TCP connection to the server's port, tried where nothing came over UDP."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to find out. It is asked until it is heard, or until its `tries` are used up."""

    name: str
    """Such as `mapping-2`: no two questions have the same."""
    socket: str
    """From which it goes out; opened when it is first named."""
    to: Endpoint
    change_address: bool = False
    change_port: bool = False
    response_port: int | None = None
    """Of RFC 5780 section 7: where the answer is wanted from, and where to."""
    octets: int = 0
    """Length to fill a request up to; 0: as short as it can be. More than 0: IP may not fragment it."""
    protocol: MappingProtocol | None = None
    """Another protocol than STUN."""
    tries: int = 0
    """0: as many as the settings say."""
    after: str = ""
    """The question that has to be settled before."""
    wait: float = 0.0
    """Seconds after that was heard."""
    is_paced: bool = True
    """It goes to a server, which answers so many a second."""
    is_aside: bool = False
    """The plan goes on without it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The first answer to a question, or the question itself where it came back to this host."""

    at: str
    """The socket."""
    source: Endpoint
    when: float
    round_trip: float
    """Seconds."""
    mapped: Endpoint | None = None
    other: Endpoint | None = None
    """OTHER-ADDRESS (RFC 5780 section 7.4)."""
    error: int = 0
    """STUN's error code; 0 if it is none."""


@dataclass(slots=True)
class Known:
    """All that is known so far. `heard` has None for a question that nothing came back to."""

    server: Endpoint | None = None
    server_ipv6: Endpoint | None = None
    """Where the server answers over IPv6, if `server` is IPv4."""
    inside: str = ""
    """This host's address towards the server, or towards the router."""
    router: str | None = None
    """The default gateway's address, if it is known."""
    lifetime: float = 0.0
    """The greatest age of a mapping that is asked for, in seconds; 0: none is."""
    brief: bool = False
    """Ask only for mapping, filtering, order and allocation, and for these only of a server with two addresses."""
    ports: int = 8
    """Fresh sockets whose external ports show the allocation."""
    sockets: dict[str, Endpoint] = field(default_factory=dict)
    """Where each is bound."""
    broken: dict[str, str] = field(default_factory=dict)
    """Sockets that could not be opened, and why."""
    asked: set[str] = field(default_factory=set)
    """The names of all questions so far."""
    heard: dict[str, Heard | None] = field(default_factory=dict)
    refused: bool = False
    """The server's host said that nobody listens on that UDP port."""
    tcp: Tcp | None = None
    echo: bool | None = None
    """The server's host answered a ping, asked where nothing came over UDP; None: this host may not ping."""

    def mapped(self, name: str) -> Endpoint | None:
        """The source of that question, as the server saw it."""
        heard = self.heard.get(name)
        return None if heard is None else heard.mapped

    @property
    def other(self) -> Endpoint | None:
        """The server's other address and port, if it has both."""
        first = self.heard.get("mapping-1")
        other = None if first is None else first.other
        if other is None or self.server is None or other.family != self.server.family:
            return None
        differ = other.address != self.server.address and other.port != self.server.port
        return other if differ else None


@dataclass(frozen=True, slots=True)
class Opened:
    """Event: a socket is bound to `endpoint`."""

    socket: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class NotOpened:
    """Event: a socket cannot be had. `text` says why, in one line."""

    socket: str
    text: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """Event: a datagram."""

    socket: str
    octets: bytes
    source: Endpoint


@dataclass(frozen=True, slots=True)
class TooLong:
    """Event: this host's own stack refused to send so many octets at once."""

    socket: str
    octets: int


@dataclass(frozen=True, slots=True)
class PortUnreachable:
    """Event: an ICMP error says that nobody listens there."""

    socket: str


@dataclass(frozen=True, slots=True)
class TcpTried:
    """Event: the answer to `TryTcp`."""

    outcome: Tcp
    echo: bool | None
    """A ping was answered; None: this host may not ping."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """Event: the deadline has come."""


Event = Opened | NotOpened | Arrived | TooLong | PortUnreachable | TcpTried | TimerFired


@dataclass(frozen=True, slots=True)
class Open:
    """Action: open a UDP socket at a free port, in the IP version 4 or 6."""

    socket: str
    family: int
    fragments: bool
    """Whether IP may fragment what it sends."""


@dataclass(frozen=True, slots=True)
class Send:
    """Action: send a datagram."""

    socket: str
    octets: bytes
    to: Endpoint


@dataclass(frozen=True, slots=True)
class TryTcp:
    """Action: see whether a TCP connection to `to` opens, and whether a ping is answered."""

    to: Endpoint


@dataclass(frozen=True, slots=True)
class Finished:
    """Action: nothing is left to ask."""


Action = Open | Send | TryTcp | Finished
