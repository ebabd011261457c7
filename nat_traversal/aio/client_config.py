"""The choices of one client: both ids, its server, and how it reaches its peer."""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.client.security import Security
from nat_traversal.crypto.epochs import TellKey
from nat_traversal.paths.probing import Probes
from nat_traversal.settings import ClientSettings
from nat_traversal.tls import ClientTlsSettings
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.messages import Relaying, Serves
from nat_traversal.wire.methods import FURTHER, MethodName
from nat_traversal.wire.offers import Trust
from nat_traversal.wire.services import ServiceOffer
from nat_traversal.wire.turn import TurnPart, TurnServer

OF_THIS_PROCESS = Probes()
"""All its clients are behind the same router."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One client's task: its id, its peer, its server. `once`: one attempt, no return."""

    server: HostPort
    local_id: str
    remote_id: str
    once: bool = False
    settings: ClientSettings = field(default_factory=ClientSettings)
    security: Security | None = None
    """Sealed, with nobody but the server to vouch for the peer, unless told otherwise."""
    families: tuple[int, ...] = (4, 6)
    """The IP versions by which the server is looked for."""
    serves: Serves = Serves.UNTOLD
    tls: ClientTlsSettings | None = None
    """None: the control connection is in clear."""
    relaying: Relaying = Relaying.AUTO
    log_key: TellKey | None = field(default=None, repr=False)
    """Hears the keys of every path, for who reads a capture."""
    server_token: bytes | None = field(default=None, repr=False)
    """Shows the server that this client may register: 32 octets."""
    may_join: bool = True
    """Whether a relay may be reached by TCP where UDP is not answered."""
    turn: TurnServer | None = None
    """This host's own, which relays where no other path stands; it needs the extra `turn`."""
    takes_turn: bool = True
    """Whether datagrams may go through a TURN server of the peer."""
    methods: tuple[str, ...] = FURTHER
    """The further methods in which the client may take part."""
    guesses_without_key: bool = False
    """Whether it takes part in `birthday` also where the server alone vouches for the peer, and so could order it alone."""
    services: tuple[ServiceOffer, ...] = ()
    """The named ones."""
    certificate: bytes = b""
    """This process's, for TCP services."""
    probes: Probes = field(default=OF_THIS_PROCESS, repr=False)
    """The rounds of guessed ports that this host has had lately."""

    @property
    def turn_part(self) -> TurnPart:
        """Its part in a path through TURN."""
        if self.turn is not None:
            return TurnPart.HAS
        return TurnPart.TAKES if self.takes_turn else TurnPart.NEVER

    @property
    def offered(self) -> tuple[str, ...]:
        """The further methods in which the client takes part."""
        security = self.security
        has_key = security is not None and security.trust is not Trust.SERVER
        if has_key or self.guesses_without_key:
            return self.methods
        return tuple(each for each in self.methods if each != MethodName.BIRTHDAY)
