"""Three regions of the internet with delays between them: the least times that a traversal can take there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields

from nat_traversal.arguments.durations import parse_duration
from nat_traversal.errors import UsageError

NAME = "regions"
_MOST = 10.0
_PROGRAMS = 0.02
"""Seconds by which programs and a busy machine may shift what the delays say."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Seconds, one way, between the regions of host_a, host_b and the server, as the topology has them."""

    a_b: float = 0.04
    a_s: float = 0.02
    b_s: float = 0.02

    def __str__(self) -> str:
        delays = (f"{each.name}={1000 * getattr(self, each.name):g}ms" for each in fields(self))
        return ",".join([NAME, *delays])

    @property
    def in_words(self) -> str:
        return ", ".join(
            f"{each.name.replace('_', ' to ')} {1000 * getattr(self, each.name):g} ms"
            for each in fields(self)
        )

    def topology(self, nat_a: str, nat_b: str) -> str:
        """As `natlab.network.loading.load` reads it."""
        return f"{self},nat_a={nat_a},nat_b={nat_b}"

    @property
    def longest(self) -> float:
        return max(self.a_b, self.a_s, self.b_s)

    @property
    def hellos_cross(self) -> bool | None:
        """Whether HELLO 1 comes to the other's NAT only after HELLO 2 has left it; None: nearly at the same time.

        The server orders HELLO 2 when it hears that HELLO 1 has left, so both ways begin at once: the direct one of
        HELLO 1, and the one by the server that leads to HELLO 2. The links of NATs are on both.
        """
        late = self.a_b - self.a_s - self.b_s
        return None if abs(late) < _PROGRAMS else late > 0

    def to_server(self, out: float) -> float:
        """The least time of a datagram from a host to the server; `out` is from a NAT to its region, in s."""
        return out + min(self.a_s, self.b_s)

    def to_peer(self, out: float, back: float) -> float:
        """The least time of a datagram from one host to the other."""
        return out + self.a_b + back

    def connect(self, out: float, back: float) -> float:
        """The least time from the later registration until both hosts have proof, in round 1.

        2 R + 1.5 P. Both hosts announce, so one R is that of the farther host. Where P > 2 R, the order of HELLO 3
        comes to A before HELLO 2 does, and its proof with the answer to that: 3 R + P.
        """
        to_server, to_peer = 2 * (out + back) + 2 * (self.a_s + self.b_s), self.to_peer(out, back)
        return to_server + 2 * to_peer + min(to_peer, to_server / 2)


def parse_regions(text: str) -> Regions:
    """``regions,a_b=80ms``. Raises `UsageError`."""
    found = {}
    known = [each.name for each in fields(Regions)]
    for word in text.split(",")[1:]:
        key, _, value = word.partition("=")
        if key not in known or not value:
            raise UsageError(
                f"{text!r}: {word!r} is no delay between regions: give {', '.join(known)}, as a_b=80ms"
            )
        if key in found:
            raise UsageError(f"{text!r}: {key} stands there twice: give it once")
        found[key] = parse_duration(value, most=_MOST)
    return Regions(**found)
