"""The relays of a server: which source belongs to which pair, what is handed on, and the bounds of all that.

A relay sees sealed frames only, and adds nothing to them. A source counts once it has echoed a nonce that
was sent to it, so nobody can aim a stream at an address that does not answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nat_traversal.crypto.proof import is_nonce, is_signed, nonce, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.timers import Timers
from nat_traversal.server.buckets import Bucket
from nat_traversal.server.member import Member
from nat_traversal.server.reflection import Reflection
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import KEY_BYTES, TOKEN_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import PROGRAMS, Frame, handle_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.relayed import Bind, Bound, Link

TELL_SLOW_EVERY = 10.0
"""Seconds between two words to a pair that the relay has dropped datagrams of."""


KEPT = 0.1
"""The share of a second's worth that programs' datagrams leave to pings and control messages: a path that is
only too busy must not seem dead."""


@dataclass(frozen=True, slots=True)
class RelayDue:
    """The timer's name: look whether this relay is idle, or has lasted long enough."""

    number: int


class Throughput:
    """At most so many datagrams, and so many octets, a second, and a second's worth at once."""

    def __init__(self, datagrams: float, octets: float, now: float) -> None:
        self._datagrams = Bucket(datagrams, datagrams, now)
        self._octets = Bucket(octets, octets, now)
        self._rates = (datagrams, octets)

    def has(self, octets: int, now: float, keep: float) -> bool:
        """Whether a datagram of so many octets may pass, if the share `keep` of a second's worth stays."""
        datagrams, size = self._rates
        return not (
            self._datagrams.wait(now, 1.0 + keep * datagrams)
            or self._octets.wait(now, octets + keep * size)
        )

    def take(self, octets: int, now: float) -> None:
        """It has passed."""
        self._datagrams.charge(now, 1.0)
        self._octets.charge(now, octets)


@dataclass(eq=False, slots=True)
class Leg:
    """One host's way to a relay."""

    relay: Relay = field(repr=False)
    connection: e.ConnectionId
    """The control connection on which the host hears of the relay."""
    key: bytes = field(repr=False)
    """Of that connection: signs BIND and BOUND."""
    process: tuple[str, bytes]
    """The host's id, and the random name of its process: it may come back on another connection."""
    home: str
    """The source (`source_of`) of its control connection; empty: not known."""
    bound: int = 0
    """The number of the newest BIND that counted."""
    source: Endpoint | None = None
    local: e.LocalAddress | None = None
    """The server's address that the host sends to."""
    ticket: bytes = field(default=b"", repr=False)
    """Joins a connection to this relay, once; empty when it has."""
    stream: e.ConnectionId | None = None
    """The connection that has joined."""
    is_streaming: bool = False
    """A datagram has come by `stream`, so that others go there; `source` is none then."""

    @property
    def is_bound(self) -> bool:
        """Datagrams can go to the host."""
        return self.source is not None or self.is_streaming

    @property
    def other(self) -> Leg:
        """The way of the other host."""
        first, second = self.relay.legs
        return second if self is first else first


@dataclass(eq=False, slots=True)
class Relay:
    """One pair's. It ends when it is idle or has lasted long enough, or a host has done with it."""

    number: int
    began_at: float
    used_at: float
    throughput: Throughput
    legs: tuple[Leg, ...] = ()
    slow_told_at: float | None = None


class Relays:
    """All relays. Owns the timers `RelayDue` of `timers`. `numbers` gives each its number."""

    def __init__(
        self,
        timers: Timers,
        settings: ServerSettings,
        counters: Counters,
        numbers: Iterator[int],
        rng: random.Random,
    ) -> None:
        self._timers = timers
        self.reconfigure(settings)
        self._numbers = numbers
        self._rng = rng
        self._secret = rng.randbytes(KEY_BYTES)
        self._relays: dict[int, Relay] = {}
        self._by_source: dict[Endpoint, Leg] = {}
        self._by_ticket: dict[bytes, Leg] = {}
        self._by_stream: dict[e.ConnectionId, Leg] = {}
        counter = counters.counter
        self._begun = counter("relays-begun", "a pair that was given a relay")
        self._refused = counter("relays-refused", "a pair for which no relay was free")
        self._forwarded = counter("relay-datagrams", "a datagram that was handed on")
        self._forwarded_octets = counter("relay-octets", "an octet of UDP payload handed on")
        self._slow = counter("relay-slow", "a datagram above the bounds of its pair, dropped")
        self._busy = counter("relay-busy", "a datagram above the bounds of all pairs, dropped")
        self._unready = counter("relay-unready", "a datagram whose other host is not bound")
        self._stray = counter("relay-stray", "a frame from a source of no relay")
        self._forged = counter(
            "binds-forged", "a BIND of no relay, or not of its host, or replayed"
        )

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings: those of a pair's rate hold for the relays that begin from now on."""
        self._settings = settings
        self._everything = Throughput(settings.relay_all_datagrams, settings.relay_all_octets, 0.0)

    def __len__(self) -> int:
        return len(self._relays)

    def obstacle(self, hosts: tuple[Member, Member]) -> str:
        """Why two hosts cannot meet at a relay of this server; empty: they can."""
        del hosts
        return ""

    def has(self, number: int) -> bool:
        """Whether the relay of that number serves still."""
        return number in self._relays

    def begin(self, hosts: tuple[Member, Member], now: float) -> Relay | None:
        """A relay for two hosts, with its legs in their order; None: the server is full."""
        settings = self._settings
        if len(self._relays) >= settings.relay_pairs:
            self._refused.value += 1
            return None
        relay = Relay(
            self.number(),
            now,
            now,
            Throughput(settings.relay_datagrams, settings.relay_octets, now),
        )
        relay.legs = tuple(
            Leg(relay, each.connection, each.key, each.process, each.source, ticket=self._ticket())
            for each in hosts
        )
        self._by_ticket |= {leg.ticket: leg for leg in relay.legs}
        self._relays[relay.number] = relay
        self._begun.value += 1
        self._arm(relay)
        return relay

    def number(self) -> int:
        """One that no relay has."""
        return next(each for each in self._numbers if each not in self._relays)

    def bind(
        self,
        bind: Bind,
        source: Endpoint,
        local: e.LocalAddress | None,
        now: float,
        reflection: Reflection,
    ) -> list[do.Action]:
        """A BIND came. Answered with the nonce for its source, if its host has made it."""
        relay = self._relays.get(bind.relay)
        legs = relay.legs if relay is not None else ()
        leg = next((each for each in legs if handle_of(each.key) == bind.handle), None)
        if leg is None or not is_signed(bind, leg.key) or bind.number <= leg.bound:
            self._forged.value += 1
            return []
        token = bind.handle + bind.relay.to_bytes(2, "big")
        stands = is_nonce(self._secret, token, source, bind.echo)
        actions: list[do.Action] = []
        if stands:
            leg.bound = bind.number
            actions = self._leave_stream(leg)
            self._move(leg, source, local)
            leg.relay.used_at = now
        elif source != leg.source and not reflection.may_go(source, leg.home, now):
            return []
        bound = Bound(bind.relay, bind.number, stands, nonce(self._secret, token, source))
        return [*actions, do.SendDatagram(signed(bound, leg.key), source, local=local)]

    def join(self, ticket: bytes, connection: e.ConnectionId, now: float) -> list[do.Action]:
        """A connection has shown a ticket, which counts once. Nothing: it is no ticket."""
        leg = self._by_ticket.pop(ticket, None)
        if leg is None:
            return []
        leg.ticket, leg.relay.used_at = b"", now
        leg.stream = connection
        self._by_stream[connection] = leg
        joined = m.RelayJoined(leg.relay.number)
        return [do.SendMessage(joined, connection), do.UseStream(connection)]

    def broken(self, connection: e.ConnectionId) -> bool:
        """A connection has ended. Whether it had joined a relay."""
        leg = self._by_stream.pop(connection, None)
        if leg is not None:
            leg.stream, leg.is_streaming = None, False
        return leg is not None

    def end_all(self) -> list[do.Action]:
        """The server stops: end the connections that have joined."""
        streams = list(self._by_stream)
        for connection in streams:
            self.broken(connection)
        return [do.CloseControl(connection) for connection in streams]

    def streamed(
        self, datagram: Frame | Link, octets: int, connection: e.ConnectionId, now: float
    ) -> list[do.Action]:
        """As `forward`, for what came over a connection that has joined. The first one tells that the host
        uses it: UDP may have been answered while it was made."""
        leg = self._by_stream.get(connection)
        if leg is not None and not leg.is_streaming:
            leg.is_streaming = True
            self._move(leg, None, None)
        return self._forward(leg, datagram, octets, now)

    def forward(
        self, datagram: Frame | Link, octets: int, source: Endpoint, now: float
    ) -> list[do.Action]:
        """Hand on what came from `source`, `octets` long, if it is of a pair and within the bounds."""
        return self._forward(self._by_source.get(source), datagram, octets, now)

    def _forward(
        self, leg: Leg | None, datagram: Frame | Link, octets: int, now: float
    ) -> list[do.Action]:
        if leg is None:
            self._stray.value += 1
            return []
        other, relay = leg.other, leg.relay
        if not other.is_bound:
            self._unready.value += 1
            return []
        is_program = isinstance(datagram, Frame) and datagram.kind in PROGRAMS
        keep = KEPT if is_program else 0.0
        if not relay.throughput.has(octets, now, keep):
            self._slow.value += 1
            return self._tell_slow(relay, now)
        if not self._everything.has(octets, now, keep):
            self._busy.value += 1
            return self._tell_again(relay, "the server's relay is busy, and drops datagrams", now)
        relay.throughput.take(octets, now)
        self._everything.take(octets, now)
        relay.used_at = now
        self._forwarded.value += 1
        self._forwarded_octets.value += octets
        if other.is_streaming and other.stream is not None:
            return [do.SendOnStream(datagram, other.stream)]
        return [do.SendDatagram(datagram, other.source, local=other.local)]

    def timed_out(self, number: int, now: float) -> list[do.Action]:
        """The timer of a relay is due."""
        relay, settings = self._relays[number], self._settings
        if now >= relay.began_at + settings.relay_most:
            text = f"the server gives a pair its relay for {settings.relay_most:g} s at a time"
            return self.end(number, m.RelayCode.OVER, text)
        if now >= relay.used_at + settings.relay_idle:
            text = f"nothing has gone through the server's relay for {settings.relay_idle:g} s"
            return self.end(number, m.RelayCode.IDLE, text)
        self._arm(relay)
        return []

    def end(self, number: int, code: m.RelayCode, text: str) -> list[do.Action]:
        """A relay is over; both hosts are told. None of that number: nothing."""
        relay = self._relays.pop(number, None)
        if relay is None:
            return []
        self._timers.cancel(RelayDue(number))
        actions = self._tell(relay, code, text)
        for leg in relay.legs:
            self._move(leg, None, None)
            self._by_ticket.pop(leg.ticket, None)
            actions += self._leave_stream(leg)
        return actions

    def done(self, number: int, host: Member) -> list[do.Action]:
        """The host has done with that relay, if it is one of the two that have it."""
        relay = self._relays.get(number)
        if relay is None or host.process not in {leg.process for leg in relay.legs}:
            return []
        return self.end(number, m.RelayCode.DONE, f"{host.id} does not use the relay any more")

    def _ticket(self) -> bytes:
        return self._rng.randbytes(TOKEN_BYTES)

    def _leave_stream(self, leg: Leg) -> list[do.Action]:
        if leg.stream is None:
            return []
        stream, leg.stream, leg.is_streaming = leg.stream, None, False
        del self._by_stream[stream]
        return [do.CloseControl(stream)]

    def _move(self, leg: Leg, source: Endpoint | None, local: e.LocalAddress | None) -> None:
        if leg.source is not None and self._by_source.get(leg.source) is leg:
            del self._by_source[leg.source]
        leg.source, leg.local = source, local
        if source is not None:
            self._by_source[source] = leg

    def _tell_slow(self, relay: Relay, now: float) -> list[do.Action]:
        """The relay has dropped a datagram of this pair: say so now and then."""
        settings = self._settings
        text = (
            f"the server's relay takes at most {settings.relay_datagrams:g} datagrams and "
            f"{settings.relay_octets:g} octets a second of a pair, and drops the rest"
        )
        return self._tell_again(relay, text, now)

    def _tell_again(self, relay: Relay, text: str, now: float) -> list[do.Action]:
        if relay.slow_told_at is not None and now < relay.slow_told_at + TELL_SLOW_EVERY:
            return []
        relay.slow_told_at = now
        return self._tell(relay, m.RelayCode.SLOW, text)

    def _tell(self, relay: Relay, code: m.RelayCode, text: str) -> list[do.Action]:
        news = m.RelayNews(relay.number, code, text)
        return [do.SendMessage(news, leg.connection) for leg in relay.legs]

    def _arm(self, relay: Relay) -> None:
        settings = self._settings
        idle, over = relay.used_at + settings.relay_idle, relay.began_at + settings.relay_most
        self._timers.set(RelayDue(relay.number), min(idle, over))


MakeRelays = Callable[
    [Timers, ServerSettings, Counters, Iterator[int], random.Random],
    Relays,
]
