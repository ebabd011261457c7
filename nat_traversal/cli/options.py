"""The request to each command, as one value: the parser makes it, the command carries it out."""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.cli.keys import KeyOptions
from nat_traversal.cli.services import NamedEnd
from nat_traversal.cli.tls import SelfSigned
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.methods import FURTHER
from nat_traversal.wire.turn import TurnUri


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The command `server`: the IP addresses and port to listen on (0: any free one), its settings, its TLS."""

    hosts: tuple[str, ...]
    port: int
    settings: ServerSettings
    tls: ServerTlsSettings | SelfSigned | None = None
    metrics: HostPort | None = None
    """Where it shows its numbers over HTTP."""
    store: str | None = None
    """The URL of the store that it shares with other servers."""
    allow: str | None = None
    """The file that names the pairs which it takes."""
    tokens: str | None = None
    """The file of the tokens of which its clients need one."""
    alternate: Endpoint | None = None
    """Another address and port, from which it answers STUN as well."""
    relay_address: Endpoint | None = None
    """Where clients of the other servers of the store reach it."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The command `client`: its server, its id, its peer, its forwarding and its settings.

    `id` None: a random one. `listen` and `connect` None: that side is not served.
    """

    server: HostPort
    id: str | None
    remote: str
    listen: HostPort | None
    connect: HostPort | None
    once: bool
    settings: ClientSettings
    keys: KeyOptions = field(default_factory=KeyOptions)
    token_file: str | None = None
    """The token that the server wants."""
    tls: ClientTlsSettings | None = None
    relaying: Relaying = Relaying.AUTO
    may_join: bool = True
    """Whether a relay may be reached by TCP."""
    turn: TurnUri | None = None
    """This host's TURN server."""
    turn_credentials: str | None = None
    """The file of a name and a password for it."""
    turn_ca: str | None = None
    """The file of the CA certificates to trust there instead of the system's."""
    takes_turn: bool = True
    """Whether one of the two hosts' TURN servers may relay."""
    methods: tuple[str, ...] = FURTHER
    """The further methods that may be used."""
    methods_are_named: bool = False
    """Somebody has chosen them."""
    wait: float | None = None
    """Seconds for a path to stand; None: no limit."""
    services: tuple[NamedEnd, ...] = ()
