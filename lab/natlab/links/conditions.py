"""Conditions of a link, as a value and as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from nat_traversal.arguments.durations import parse_duration
from nat_traversal.errors import UsageError

V = TypeVar("V")

MOST_DELAY = 10.0
LEAST_MTU, MOST_MTU = 68, 9000
"""Octets. RFC 791 section 3.2: every module forwards 68 octets whole."""
MOST_BURST = 10_000.0
_BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_QUANTITY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([a-z%]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a link. Raises `UsageError` for what cannot be.

    A frame is first serialised at `rate`, behind those before it, and then takes `delay`, evenly
    spread by ± `jitter`. Frames keep their order: one that was given less jitter than the one before
    it arrives right behind it. Only a frame that `reorder` picks skips delay and jitter, and so
    overtakes. These words and meanings are those of Linux' netem.
    """

    delay: float = 0.0
    """Seconds, 0 to 10."""
    jitter: float = 0.0
    """Seconds, at most `delay`."""
    loss: float = 0.0
    """The share of frames, 0 to 1, that never arrives; so are the next two shares of frames."""
    reorder: float = 0.0
    duplicate: float = 0.0
    rate: int | None = None
    """Bits per second, from 1000, of whole Ethernet frames without their checksum; None: no limit."""
    limit: int = 1000
    """How many frames it holds at most; one that comes when it is full is dropped."""
    burst: float | None = None
    """Frames, from 1: the mean length of a run of lost frames, by the Gilbert-Elliott model whose bad
    state loses all and whose good state nothing; None: each frame is lost for itself."""
    queue: int | None = None
    """How many frames, from 1, may wait for `rate` or be on the way through it; None: as `limit` says."""
    black_hole: int | None = None
    """Octets of an IP packet, 68 to 9000: larger ones are lost, and nobody is told by ICMP."""

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= MOST_DELAY:
            raise UsageError(f"delay {self.delay:g} s: use 0 to {MOST_DELAY:g} s")
        if not 0 <= self.jitter <= self.delay:
            raise UsageError(
                f"jitter {self.jitter:g} s: use 0 to the delay, which is {self.delay:g} s"
            )
        for name in ("loss", "reorder", "duplicate"):
            share: float = getattr(self, name)
            if not 0 <= share <= 1:
                raise UsageError(f"{name} {share:g}: use a share from 0 (never) to 1 (always)")
        if self.reorder and not self.delay:
            raise UsageError("reorder: needs a delay, which the frames that overtake skip")
        if self.rate is not None and self.rate < 1000:
            raise UsageError(f"rate {self.rate} bit/s: use at least 1kbit")
        for name in ("limit", "queue"):
            frames: int | None = getattr(self, name)
            if frames is not None and frames < 1:
                raise UsageError(f"{name} {frames}: use at least 1 frame")
        if self.queue is not None and self.rate is None:
            raise UsageError("queue: needs a rate, for which frames wait")
        if self.burst is not None:
            self._check_burst(self.burst)
        if self.black_hole is not None and not LEAST_MTU <= self.black_hole <= MOST_MTU:
            raise UsageError(f"black-hole {self.black_hole}: use {LEAST_MTU} to {MOST_MTU} octets")

    def _check_burst(self, burst: float) -> None:
        if not 0 < self.loss < 1:
            raise UsageError("burst: needs a loss between 0% and 100%, which comes in bursts")
        least = max(1.0, self.loss / (1 - self.loss))
        if not least <= burst <= MOST_BURST:
            raise UsageError(
                f"burst {burst:g}: at this loss use {least:g} to {MOST_BURST:g} frames"
            )

    @property
    def is_plain(self) -> bool:
        """Frames cross it at once, each once, in order."""
        return self == Way(limit=self.limit)

    @property
    def loses_after(self) -> tuple[float, float]:
        """The chance of a loss after a frame that was kept, and after one that was lost."""
        if self.burst is None:
            return self.loss, self.loss
        recovers = 1 / self.burst
        return self.loss * recovers / (1 - self.loss), 1 - recovers

    @property
    def is_random(self) -> bool:
        """The fate of a frame depends on a seed."""
        certain = (self.loss, self.reorder, self.duplicate)
        return self.jitter > 0 or any(0 < share < 1 for share in certain)

    def __str__(self) -> str:
        parts = []
        if self.delay:
            jitter = f" ± {_milliseconds(self.jitter)}" if self.jitter else ""
            parts.append(f"delay {_milliseconds(self.delay)}{jitter} ms")
        for name in ("loss", "reorder", "duplicate"):
            share: float = getattr(self, name)
            runs = f" in runs of {self.burst:g}" if name == "loss" and self.burst else ""
            if share:
                parts.append(f"{name} {100 * share:g} %{runs}")
        if self.rate is not None:
            queue = f" behind {self.queue} frames" if self.queue is not None else ""
            parts.append(f"rate {self.rate / 1e6:g} Mbit/s{queue}")
        if self.black_hole is not None:
            parts.append(f"more than {self.black_hole} octets lost in silence")
        return ", ".join(parts) or "plain"


@dataclass(frozen=True, slots=True)
class LinkConditions:
    """Both directions of a link, as seen from the node that is named first. Raises `UsageError`."""

    out: Way = Way()
    back: Way = Way()
    mtu: int | None = None
    """Octets of an IP packet, 68 to 9000, for both ends; None leaves it (1500)."""
    seed: int = 0
    """The same seed gives the n-th frame of a direction the same fate."""
    is_default: bool = False
    """Nobody asked for the delay: a busy machine may be later, and that spoils nothing."""

    def __post_init__(self) -> None:
        if self.mtu is not None and not LEAST_MTU <= self.mtu <= MOST_MTU:
            raise UsageError(f"MTU {self.mtu}: use {LEAST_MTU} to {MOST_MTU} octets")

    @property
    def slowest(self) -> float:
        """The longest that a frame of 1500 octets, alone on the link, takes in either direction, s."""
        return max(
            way.delay + way.jitter + (1500 * 8 / way.rate if way.rate else 0.0)
            for way in (self.out, self.back)
        )

    @property
    def patience(self) -> float:
        """By how many seconds a conversation over two such links may be longer than over plain ones.

        Forty crossings; and where frames may get lost, TCP's first four retransmissions
        (1, 2, 4 and 8 s, RFC 6298 section 5.5).
        """
        return 40 * self.slowest + (15.0 if self.is_lossy else 0.0)

    @property
    def is_lossy(self) -> bool:
        return self.out.loss > 0 or self.back.loss > 0

    def __str__(self) -> str:
        ways = str(self.out) if self.out == self.back else f"{self.out}; back: {self.back}"
        mtu = f", MTU {self.mtu}" if self.mtu is not None else ""
        seed = f", seed {self.seed}" if self.out.is_random or self.back.is_random else ""
        return f"{ways}{mtu}{seed}{self._default_in_words}"

    @property
    def _default_in_words(self) -> str:
        if not self.is_default:
            return ""
        return " (the default)" if self == DEFAULT_LINKS else " (delay: the default)"


PLAIN = LinkConditions()
"""None at all."""
DEFAULT_DELAY = "5ms"
"""One way, between each NAT and what is outside it, where nobody asks for something else. Without any
delay a packet is answered before its receiver can send one of its own. No network is like that, and it
decides what two order-sensitive NATs do with programs whose first packets cross."""
_DEFAULT_WAY = Way(delay=parse_duration(DEFAULT_DELAY))
DEFAULT_LINKS = LinkConditions(_DEFAULT_WAY, _DEFAULT_WAY, is_default=True)


def share(text: str) -> float:
    """``1%`` or ``0.5%``, as a share of 1. Raises `UsageError`."""
    number, _ = _split(text, {"%": 1}, "a percentage", "1% or 0.5%")
    if number > 100:
        raise UsageError(f"{text!r} must be from 0% to 100%")
    return number / 100


def bit_rate(text: str) -> int:
    """``10mbit``, ``512kbit``, ``1gbit`` or ``9600bit``, in bits per second. Raises `UsageError`."""
    number, unit = _split(text, _BITS, "a rate", "10mbit, 512kbit or 1gbit")
    return round(number * _BITS[unit])


def count(text: str) -> int:
    """``100``. Raises `UsageError`."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{text!r} must be a whole number below a thousand million")
    return int(text)


def frames(text: str) -> float:
    """``5`` or ``2.5``, of frames on average. Raises `UsageError`."""
    if _NUMBER.fullmatch(text) is None:
        raise UsageError(f"{text!r} must be a number of frames, like 5 or 2.5")
    return float(text)


PARSERS: dict[str, Callable[[str], float]] = {
    "delay": parse_duration,
    "jitter": parse_duration,
    "loss": share,
    "reorder": share,
    "duplicate": share,
    "rate": bit_rate,
    "burst": frames,
    "queue": count,
    "black_hole": count,
}
"""How each field of a `Way` is written."""


def both_ways(parse: Callable[[str], V], text: str) -> tuple[V, V]:
    """``OUT/BACK``, or one text for both directions. Raises `UsageError`."""
    out, slash, back = text.partition("/")
    return parse(out), parse(back if slash else out)


def parse_conditions(
    texts: dict[str, str], *, mtu: int | None = None, seed: int = 0, is_default: bool = False
) -> LinkConditions:
    """Conditions from texts by the names of `PARSERS`, each for both directions or ``OUT/BACK``.

    Raises `UsageError`, which begins with the name.
    """
    ways: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name, text in texts.items():
        if name not in PARSERS:
            raise UsageError(f"unknown condition {name!r}: choose from {', '.join(PARSERS)}")
        try:
            values = both_ways(PARSERS[name], text)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        for way, value in zip(ways, values, strict=True):
            way[name] = value
    out, back = (Way(**values) for values in ways)
    return LinkConditions(out, back, mtu, seed, is_default)


def _split(text: str, units: dict[str, V], what: str, examples: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise UsageError(f"{text!r} is not {what}: write it like {examples}")
    return float(match[1]), match[2]


def _milliseconds(value: float) -> str:
    return f"{1000 * value:g}"
