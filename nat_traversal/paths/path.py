"""One established path to a peer: its consent and the upkeep of its frames, until one of them ends it."""

from __future__ import annotations

import random
from dataclasses import replace

from nat_traversal.crypto.epochs import Epochs
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.consent import Consent, Reason
from nat_traversal.paths.echo import Echo
from nat_traversal.paths.keepalive import Keepalive, Lifetime
from nat_traversal.paths.mtu import HEADERS_IPV4, HEADERS_IPV6
from nat_traversal.paths.roaming import Roaming
from nat_traversal.paths.upkeep import Upkeep, path_mtu
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import RELAYS
from nat_traversal.wire.nat_facts import NatFacts

SILENT = "the other side has stopped answering"
"""Why most paths end."""


class Path:
    """The path over `pair`; `epochs` seals and opens its frames. Every call but `due` may come at any time.

    `added`: octets that a relay on the way puts before a frame.
    """

    def __init__(
        self,
        pair: NominatedPair,
        epochs: Epochs,
        settings: ClientSettings,
        rng: random.Random,
        now: float,
        *,
        method: str,
        roams: bool = False,
        lifetime: Lifetime | None = None,
        added: int = 0,
    ) -> None:
        self.method = method
        """The rung that opened it."""
        self._pair = pair
        self._epochs = epochs
        keepalive = None if lifetime is None else Keepalive(lifetime, settings, rng, now)
        self._consent = Consent(*(pair, settings, rng, now, epochs.authentic), keepalive=keepalive)
        sizes = path_mtu(pair.remote.family, now, settings.mtu, added)
        self._upkeep = Upkeep(pair, epochs, sizes, rng)
        self._packet = settings.mtu
        self._echo = Echo(rng)
        self._roaming = Roaming(pair, rng, epochs.newest) if roams else None
        self.began_at = now
        """When it stood."""
        self.instance = b""
        """The peer's process."""
        self.end: str | None = None
        """Why the path has ended, for people. None while it stands."""
        self.end_is_told = False
        """People know that it has ended."""

    @property
    def deadline(self) -> float:
        """When to call `due` next."""
        at = min(self._consent.deadline, self._upkeep.deadline)
        roaming = None if self._roaming is None else self._roaming.deadline
        return at if roaming is None else min(at, roaming)

    @property
    def generation(self) -> int:
        """Of its socket."""
        return self._pair.socket.generation

    @property
    def remote(self) -> Endpoint:
        """Where its frames go."""
        return self._pair.remote

    @property
    def round_trip(self) -> float | None:
        """Seconds there and back, as measured last; None before."""
        return self._consent.round_trip or None

    @property
    def mtu(self) -> int | None:
        """Octets of the longest IP packet that is sent on it; None until one has been answered."""
        headers = HEADERS_IPV4 if self.remote.family == 4 else HEADERS_IPV6
        return self._upkeep.size + headers if self.base_passes else None

    def loss(self, now: float) -> float | None:
        """The share of the newest pings that were not answered, from 0 to 1; None before any is due."""
        return self._consent.loss(now)

    @property
    def jitter(self) -> float | None:
        """Seconds by which round trips in a row differ on average (`Consent.jitter`)."""
        return self._consent.jitter

    @property
    def base_passes(self) -> bool:
        """Frames of the base size pass."""
        return self._upkeep.base_passes

    @property
    def moved_at(self) -> float | None:
        """When the peer said that its datagrams come this way from now on; None: not yet."""
        return self._upkeep.moved_at

    @property
    def peer_knows(self) -> bool:
        """The peer has shown that the path stands for it too, or the server says that it has left."""
        return self._consent.was_heard or self._consent.is_doubted

    def use(self, instance: bytes) -> list[do.Action]:
        """Let users' datagrams go this way, to the peer's process `instance`."""
        self.instance = instance
        sized = do.SizeFrames(self._pair.socket.generation, self._upkeep.size)
        roams = self._roaming is not None
        used = self._pair.use(self._epochs, instance, roams=roams, is_relayed=self.method in RELAYS)
        return [used, sized]

    def move(self, socket: UdpSocket) -> None:
        """Go on from `socket`, with the same keys; `use` it then."""
        self._pair = pair = replace(self._pair, socket=socket)
        self._consent.pair = self._upkeep.pair = pair

    def tell_moved(self, now: float) -> list[do.Action]:
        """Tell the peer that this side's datagrams come this way from now on."""
        return self._upkeep.tell_moved(now, self._consent.round_trip)

    @property
    def peer_facts(self) -> NatFacts | None:
        """The peer's word about its NAT on this path; None: none has come."""
        return self._upkeep.peer_facts

    def tell_facts(self, facts: NatFacts, now: float) -> list[do.Action]:
        """Tell the peer how this side's NAT behaves."""
        return self._upkeep.tell_facts(facts, now, self._consent.round_trip)

    def tell(self, body: bytes, now: float) -> list[do.Action]:
        """Say `body`, 1 to `MAX_BODY` octets, in CONTROL: the peer's `take_words` has it once, and in order."""
        return self._upkeep.tell(body, now, self._consent.round_trip)

    def take_words(self) -> list[bytes]:
        """The peer's words in CONTROL that concern more than this path, since the last call."""
        words, self._upkeep.words = self._upkeep.words, []
        return words

    def elsewhere(self, source: Endpoint, kind: Kind, now: float) -> None:
        """The newest authentic frame so far has come from another address than the path's."""
        if self._roaming is not None:
            self._roaming.heard(source, kind, now, self._consent.round_trip)

    def frame_opened(
        self, kind: Kind, plain: bytes, now: float, source: Endpoint | None = None
    ) -> list[do.Action]:
        """An authentic frame came, which is none of a program's; `source`: from an address that is not the path's.
        It may end the path."""
        if kind is Kind.BYE:
            self.end = "the other side closed it"
            return []
        if kind is Kind.CONTROL:
            return self._upkeep.control(plain, now, self._consent.round_trip)
        echo = self._echo.answered(plain, now) if kind is Kind.PONG else None
        if echo is not None:
            return [do.Tell(note.PeerAnswered(self.generation, echo))]
        answered = self._upkeep.answered(plain, now) if kind is Kind.PONG else None
        if answered is not None:
            return answered
        transaction, roaming = plain[:TRANSACTION_BYTES], self._roaming
        if roaming is not None and kind is Kind.PONG and roaming.answered(transaction, source, now):
            return []
        actions = self._consent.arrived(kind, plain, now)
        if roaming is not None and source is not None and kind is Kind.PING and actions:
            actions += roaming.pong(transaction, source, now)
        return actions

    def ask(self, now: float) -> list[do.Action]:
        """A user wants to know whether the peer answers: send a ping, whose answer is told."""
        return [self._echo.ask(self._pair, now)]

    def frame_refused(self, size: int, now: float) -> list[do.Action]:
        """A frame of `size` octets was too long for this host's own network."""
        return self._upkeep.refused(size, now)

    def larger_sent(self, now: float) -> None:
        """Frames above the base size flow to the peer."""
        self._upkeep.larger_sent(now)

    def doubt(self, now: float, within: float | None = None) -> None:
        """The server says that the peer left: find out quickly whether the path still works (`Consent.doubt`)."""
        self._consent.doubt(now, within)

    @property
    def is_doubted(self) -> bool:
        """The server says that the peer has left, and it has not shown itself since."""
        return self._consent.is_doubted

    def offered(self, now: float) -> None:
        """A program's datagram has been sent on it: it should not stay without any answer."""
        self._consent.offered(now)

    def press(self, now: float, reason: Reason) -> None:
        """It may be dead: find out quickly."""
        self._consent.press(now, reason)

    def is_suspect(self, now: float) -> bool:
        """It may be dead: datagrams had better take another path, if one stands."""
        return self._consent.is_suspect(now)

    @property
    def heard_at(self) -> float:
        """When something authentic came last, as far as anybody has looked."""
        return self._consent.heard_at

    def has_died(self, now: float) -> bool:
        """It draws nothing any more, or has ended so."""
        return self.end == SILENT if self.end else self.is_suspect(now)

    def turns_suspect(self, now: float) -> bool:
        """It is suspect. True once each time, for who looks for another one."""
        return self._consent.turns_suspect(now)

    def falls_silent(self, now: float) -> bool:
        """No ping has been answered for a while, though consent lasts. True once in each silence."""
        return not self._consent.has_expired(now) and self._consent.falls_silent(now)

    def due(self, now: float) -> list[do.Action]:
        """Send all that is due at `now`. It may end the path."""
        if self._consent.has_expired(now):
            self.end = SILENT
            self._consent.died()
            return []
        actions = self._consent.due(now) + self._upkeep.due(now, self._consent.round_trip)
        if self._upkeep.is_too_narrow:
            self.end = self._too_narrow()
        return actions + self._roam(now)

    def _roam(self, now: float) -> list[do.Action]:
        """Ask for the peer where it seems to be, and follow it there."""
        if self._roaming is None:
            return []
        actions = self._roaming.due(now)
        remote = self._roaming.take_move()
        if remote is None:
            return actions
        self._pair = pair = replace(self._pair, remote=remote)
        self._consent.pair = self._upkeep.pair = self._roaming.pair = pair
        self._consent.renew(now)
        self._upkeep.search(path_mtu(remote.family, now, self._packet))
        return [
            *actions,
            do.RedirectPath(self.generation, remote),
            do.SizeFrames(self.generation, self._upkeep.size),
            do.Tell(note.PeerRoamed(remote, self.generation)),
        ]

    def _too_narrow(self) -> str:
        if self._packet:
            return f"IP packets of {self._packet} octets do not pass on it: give a smaller --mtu, or none"
        return f"not even frames of {self._upkeep.size} octets pass on it: its MTU is too small"

    def farewell(self) -> list[do.Action]:
        """Tell the peer that this side closes the path."""
        return [self._pair.send(Kind.BYE)]
