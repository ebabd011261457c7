"""The server's answers to STUN: the only ones that somebody gets who has not registered."""

from __future__ import annotations

from nat_traversal.errors import WireError
from nat_traversal.machine.counters import Counters
from nat_traversal.server.buckets import Bucket, Buckets
from nat_traversal.server.source import source_of
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import stun
from nat_traversal.wire.addresses import is_usable
from nat_traversal.wire.endpoint import Endpoint


class StunAnswers:
    """Answers Binding requests within the budgets of a source and of all.

    Anybody can forge the source of a request. So an answer has at most twice its octets, with headers, and
    a source gets few.
    """

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
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

    def answer(self, data: bytes, source: Endpoint, now: float) -> bytes | None:
        """The answer to one datagram that `stun.is_stun`; None if it gets none."""
        if self._all.wait(now) or not self.sources.take(source_of(source.address), now):
            self._shed.value += 1
            return None
        if not source.port or not is_usable(source.address):
            self._malformed.value += 1
            return None
        try:
            request = stun.decode(data)
        except WireError:
            self._malformed.value += 1
            return None
        self._all.take(now)
        answer = stun.encode(stun.BindingResponse(request, source))
        if answer is not None:
            self._answered.value += 1
        return answer
