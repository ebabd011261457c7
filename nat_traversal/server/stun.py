"""The server's answers to STUN: the only ones that somebody gets who has not registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from nat_traversal.errors import WireError
from nat_traversal.machine.counters import Counters
from nat_traversal.server.buckets import Bucket, Buckets
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import stun
from nat_traversal.wire.addresses import is_usable
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.source import source_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Alternate:
    """Two addresses and two ports, so four endpoints at which requests come (RFC 5780 section 3)."""

    primary: Endpoint
    other: Endpoint
    """Both its address and its port are others than those of `primary`."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """`primary` first."""
        addresses = (self.primary.address, self.other.address)
        ports = (self.primary.port, self.other.port)
        return tuple(Endpoint(address, port) for address in addresses for port in ports)

    def changed(self, asked: Endpoint, *, address: bool, port: bool) -> Endpoint:
        """The endpoint to answer from, of a request that came to `asked`."""
        one, two = self.primary, self.other
        return Endpoint(
            _swapped(asked.address, one.address, two.address) if address else asked.address,
            _swapped(asked.port, one.port, two.port) if port else asked.port,
        )


@dataclass(frozen=True, slots=True)
class StunAnswer:
    """One datagram to send."""

    octets: bytes
    destination: Endpoint
    origin: Endpoint | None
    """The endpoint of `Alternate` that it leaves from; None: where the request came."""


class StunAnswers:
    """Answers Binding requests within the budgets of a source and of all.

    Anybody can forge the source of a request. So an answer has at most twice its octets, with headers, and
    a source gets few: the same few at all endpoints of an `alternate` together.
    """

    def __init__(
        self, settings: ServerSettings, counters: Counters, alternate: Alternate | None = None
    ) -> None:
        self._alternate = alternate
        self._own = frozenset(alternate.endpoints if alternate else ())
        self.reconfigure(settings)
        self._answered = counters.counter("stun-answered", "a STUN Binding request was answered")
        self._shed = counters.counter(
            "stun-shed", "a STUN request beyond the budget of its source or of all"
        )
        self._malformed = counters.counter(
            "stun-malformed", "a STUN message that is no request, or comes from nowhere"
        )

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other budgets, and all of them full."""
        rate = settings.stun_per_source
        self.sources: Buckets[str] = Buckets(rate, rate, settings.sources)
        self._all = Bucket(settings.stun_in_all, settings.stun_in_all)

    def answer(
        self, data: bytes, source: Endpoint, now: float, asked: Endpoint | None = None
    ) -> StunAnswer | None:
        """The answer to one datagram that `stun.is_stun`; None if it gets none.

        `asked`: at which endpoint of the alternate it came; None: at one that has nothing to do with it.
        """
        if self._all.wait(now) or not self.sources.take(source_of(source.address), now):
            self._shed.value += 1
            return None
        if not source.port or not is_usable(source.address) or source in self._own:
            self._malformed.value += 1
            return None
        try:
            request = stun.decode(data, has_alternate=asked is not None)
        except WireError:
            self._malformed.value += 1
            return None
        self._all.take(now)
        answer = self._answer(request, source, asked)
        if answer is not None:
            self._answered.value += 1
        return answer

    def _answer(
        self, request: stun.BindingRequest, source: Endpoint, asked: Endpoint | None
    ) -> StunAnswer | None:
        origin = other = None
        if self._alternate is not None and asked is not None:
            changed = self._alternate.changed
            other = changed(asked, address=True, port=True)
            origin = asked  # an error comes from there in any case
            if not request.unknown:
                origin = changed(asked, address=request.change_address, port=request.change_port)
        octets = stun.encode(stun.BindingResponse(request, source, origin, other))
        if octets is None or request.response_port == 0:
            return None
        port = source.port if request.unknown else request.response_port or source.port
        destination = Endpoint(source.address, port)
        return StunAnswer(octets, destination, origin)


def _swapped(value: T, one: T, two: T) -> T:
    return two if value == one else one
