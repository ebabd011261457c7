"""The largest frame that a path carries, found by padded probes (RFC 8899, DPLPMTUD). Pure.

Sizes are octets of UDP payload. Frames of the base size flow from the first moment, so nothing waits
for the search. It begins with one probe for each usual size at once: one round trip finds the size of
nearly every path. Then it halves what remains. Later, while larger frames flow, a full-size
probe a second finds black holes, which show no other way: their ICMP is filtered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from nat_traversal.machine.transitions import StateMachine

BASE_IPV4 = 548
BASE_IPV6 = 1232
"""Octets that every path must carry: packets of 576 octets (RFC 1122 section 3.3.3) and 1,280
(RFC 8200 section 5), less the headers of IP and UDP."""
HEADERS_IPV4 = 28
HEADERS_IPV6 = 48
USUAL_PACKETS = (1280, 1400, 1420, 1480, 1492, 1500, 9000)
"""IP packets, in octets, that links and tunnels are made for: IPv6's least, mobile carriers and VPNs,
WireGuard, tunnels in IP, PPPoE, Ethernet, jumbo frames."""
STEP = 8
"""The search ends when this many octets or fewer remain."""


@dataclass(frozen=True, slots=True)
class MtuSettings:
    """Timings in seconds."""

    answer_within: float = 1.0
    """For the answer to a probe, above the round trip."""
    tries: int = 3
    """Probes of one size that must be lost before it counts as too large (RFC 8899 MAX_PROBES)."""
    base_tries: int = 8
    """The same for the base size: to give a path up takes more than to leave a larger size alone."""
    confirm_every: float = 1.0
    """Between full-size probes while larger frames than the base size flow."""
    search_again: float = 600.0
    """After a search, until the next one: a path may have become wider (RFC 8899 PMTU_RAISE_TIMER)."""


class MtuState(Enum):
    """Named by what is known."""

    BASE = auto()  # nothing: not even the base size has been answered
    SEARCHING = auto()  # the base size passes, a larger one may
    FOUND = auto()  # the search is over
    TOO_NARROW = auto()  # the base size does not pass: no use to a program


class MtuTrigger(Enum):
    ANSWERED = auto()
    EXHAUSTED = auto()
    LOST = auto()
    AGAIN = auto()


_S, _T = MtuState, MtuTrigger
TABLE = {
    (_S.BASE, _T.ANSWERED): _S.SEARCHING,
    (_S.BASE, _T.EXHAUSTED): _S.TOO_NARROW,
    (_S.SEARCHING, _T.ANSWERED): _S.SEARCHING,
    (_S.SEARCHING, _T.EXHAUSTED): _S.FOUND,
    (_S.SEARCHING, _T.LOST): _S.BASE,
    (_S.FOUND, _T.ANSWERED): _S.FOUND,
    (_S.FOUND, _T.LOST): _S.BASE,
    (_S.FOUND, _T.AGAIN): _S.SEARCHING,
    (_S.TOO_NARROW, _T.ANSWERED): _S.SEARCHING,
}


def usual_sizes(headers: int, base: int, ceiling: int) -> list[int]:
    """Payloads to try first: the base size, the usual ones that fit below `ceiling`, and that itself."""
    sizes = {packet - headers for packet in USUAL_PACKETS}
    return sorted({base, ceiling, *(size for size in sizes if base < size < ceiling)})


@dataclass(slots=True)
class _Probing:
    """One size that is being asked for."""

    tries: int
    until: float


class PathMtu:
    """Searches, and watches what it has found. Send a probe for each size that `due` returns, padded to
    exactly that many octets; tell `answered` the size of each probe that the peer acknowledges.

    `ceiling` is what the first link carries at most: the interface's MTU less the headers.
    """

    def __init__(
        self, base: int, sizes: Sequence[int], now: float, settings: MtuSettings | None = None
    ) -> None:
        self._settings = settings or MtuSettings()
        self._base = base
        self._sizes = list(sizes)
        self._machine = StateMachine("path MTU", _S.BASE, TABLE)
        self.size = base
        """The largest frame that has been answered; the base size until one has been."""
        self._too_large = max(sizes) + 1
        """The smallest size that is known not to pass."""
        self._asked: dict[int, _Probing] = {}
        self._larger_flowed = False
        self._confirm_at: float | None = None
        self._unconfirmed = 0
        self._again_at: float | None = None
        self._round_trip = 0.0
        self._want(self._sizes, now)

    @property
    def state(self) -> MtuState:
        return self._machine.state

    @property
    def deadline(self) -> float | None:
        """When to call `due` next."""
        at = self._confirm_at
        for other in (self._again_at, *[probing.until for probing in self._asked.values()]):
            if other is not None and (at is None or other < at):
                at = other
        return at

    def due(self, now: float, round_trip: float = 0.0) -> list[int]:
        """The sizes of the probes to send now. `round_trip` is the measured one, in seconds."""
        self._round_trip = round_trip
        probes: list[int] = []
        for size, probing in sorted(self._asked.items()):
            if probing.until > now or size not in self._asked:
                continue
            is_first = size == self._base and self.state is _S.BASE
            if probing.tries >= (self._settings.base_tries if is_first else self._settings.tries):
                del self._asked[size]
                self._lost(size, now)
            else:
                probing.tries += 1
                probing.until = now + self._settings.answer_within + round_trip
                probes.append(size)
        if self._again_at is not None and now >= self._again_at:
            self._search_again(now)
        return sorted([*probes, *self._confirmation(now), *self._fresh(now)])

    def answered(self, size: int, now: float) -> bool:
        """The peer acknowledged a probe of `size` octets. True if a larger size is known to pass now."""
        self._asked.pop(size, None)
        if size >= self.size:
            self._unconfirmed = 0
        grew = self.state in (_S.BASE, _S.TOO_NARROW) or size > self.size
        if self.state is _S.TOO_NARROW:
            self._want([each for each in self._sizes if each > size], now)
        self._machine.fire(_T.ANSWERED)
        if size > self.size:
            self.size = size
            for smaller in [each for each in self._asked if each < size]:
                del self._asked[smaller]
        self._go_on(now)
        return grew

    def refused(self, size: int, now: float) -> None:
        """This host's own stack says that `size` is too long (EMSGSIZE): no need to try again."""
        if size <= self._base and self.state in (_S.BASE, _S.TOO_NARROW):
            return  # no smaller size is left: the tries run out, and the path counts as too narrow
        self._too_large = min(self._too_large, size)
        for larger in [each for each in self._asked if each >= size]:
            del self._asked[larger]
        if size <= self.size:
            self._fall_back(now)
        else:
            self._go_on(now)

    def larger_sent(self, now: float) -> None:
        """A frame above the base size has been sent: see whether such still arrive."""
        self._larger_flowed = True
        if self._confirm_at is None:
            self._confirm_at = now + self._settings.confirm_every

    def _want(self, sizes: Sequence[int], now: float) -> None:
        self._asked.update({size: _Probing(0, now) for size in sizes if size not in self._asked})

    def _fresh(self, now: float) -> list[int]:
        """Probes that have just become wanted."""
        fresh = [size for size, probing in self._asked.items() if not probing.tries]
        for size in fresh:
            self._asked[size] = _Probing(1, now + self._settings.answer_within + self._round_trip)
        return fresh

    def _lost(self, size: int, now: float) -> None:
        """Every probe of `size` was lost."""
        if size == self._base and self.state is _S.BASE:
            self._machine.fire(_T.EXHAUSTED)
            self._asked.clear()
            self._again_at = now + self._settings.answer_within
            return
        self._too_large = min(self._too_large, size)
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        """Ask for the middle of what remains, once nothing else is asked for."""
        if self.state is not _S.SEARCHING or self._asked:
            return
        if self._too_large - self.size <= STEP:
            self._machine.fire(_T.EXHAUSTED)
            self._again_at = now + self._settings.search_again
            return
        self._want([(self.size + self._too_large) // 2], now)

    def _confirmation(self, now: float) -> list[int]:
        """One full-size probe, if larger frames flow; after too many lost ones, back to the base size."""
        if self._confirm_at is None or now < self._confirm_at:
            return []
        if not self._larger_flowed or self.size == self._base:
            self._confirm_at = None
            return []
        if self._unconfirmed >= self._settings.tries:
            self._fall_back(now)
            return []
        self._larger_flowed = False
        self._unconfirmed += 1
        self._confirm_at = now + self._settings.confirm_every
        return [self.size]

    def _fall_back(self, now: float) -> None:
        self._machine.fire(_T.LOST)
        self._too_large = min(self._too_large, max(self.size, self._base + 1))
        self.size = self._base
        self._unconfirmed = 0
        self._confirm_at = self._again_at = None
        self._asked.clear()
        self._want([size for size in self._sizes if size < self._too_large], now)

    def _search_again(self, now: float) -> None:
        self._again_at = None
        if self.state is _S.TOO_NARROW:
            self._want([self._base], now)
            return
        self._machine.fire(_T.AGAIN)
        self._too_large = max(self._sizes) + 1
        self._want([size for size in self._sizes if size > self.size], now)
        self._go_on(now)
