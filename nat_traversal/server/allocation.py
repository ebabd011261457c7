"""How a host's NAT gives ports, from those at which the server has seen its sockets, and the port that comes next. Pure."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

KEPT_SIGHTINGS = 32
"""Sightings of one host that count."""
LEAST_SIGHTINGS = 3
"""Sightings of one volley that tell anything."""
MOST_GAP = 64
"""Between two ports of a volley that were given one after the other: connections of others come between."""
BLOCK = 1024
"""Ports of a block, as far as is guessed (RFC 7422 section 4 has such sizes)."""
LOWEST = 1024
"""NATs keep the ports below for well-known services."""
_HIGHEST = 65_535
_RATE_WITHIN = 10.0
"""Seconds over which others' connections are counted: an attempt comes to its further rounds earlier."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A fresh socket of the host, as the server has seen it first."""

    at: float
    generation: int
    port: int


@dataclass(frozen=True, slots=True)
class Sequential:
    """Each mapping gets the port after the last one's."""

    last: int
    """The newest that was seen."""
    at: float
    """When."""
    rate: float
    """Mappings a second that others make."""

    def expected(self, at: float) -> float:
        """Ports that are given to others until `at`."""
        return self.rate * max(0.0, at - self.at)

    def ahead(self, count: float) -> int:
        """The port that many after the newest."""
        return LOWEST + (self.last + round(count) - LOWEST) % (_HIGHEST + 1 - LOWEST)


@dataclass(frozen=True, slots=True)
class Kept:
    """The NAT keeps the ports of the host's sockets, as far as they are free: that of one has been told."""

    port: int


@dataclass(frozen=True, slots=True)
class Block:
    """Any port of a small block."""

    first: int

    def draw(self, count: int, rng: random.Random) -> tuple[int, ...]:
        """So many of its ports."""
        return tuple(rng.sample(range(self.first, self.first + BLOCK), count))


class Sightings:
    """Those of one host, the newest ones."""

    def __init__(self) -> None:
        self._kept: deque[Sighting] = deque(maxlen=KEPT_SIGHTINGS)

    def add(self, at: float, generation: int, port: int) -> None:
        """A socket was seen at `port`. It counts once."""
        if not any(each.port == port and each.generation == generation for each in self._kept):
            self._kept.append(Sighting(at, generation, port))

    def count(self, generation: int) -> int:
        """Ports of one volley that were seen."""
        return len(self._of(generation))

    def allocation(self, generation: int) -> Sequential | Block | None:
        """The rule by which the ports of that volley were given; None: none that helps."""
        volley = self._of(generation)
        if len(volley) < LEAST_SIGHTINGS:
            return None
        ports = [each.port for each in volley]
        first = min(ports, key=lambda port: max(_steps(port, each) for each in ports))
        steps = sorted(_steps(first, each) for each in ports)
        gaps = [after - before for before, after in pairwise(steps)]
        if all(0 < gap <= MOST_GAP for gap in gaps):
            last = max(volley, key=lambda each: _steps(first, each.port))
            return Sequential(last.port, last.at, self._rate(volley[0].at, first, generation))
        block = ports[0] // BLOCK * BLOCK
        if all(block <= port < block + BLOCK for port in ports):
            return Block(block)
        return None

    def _of(self, generation: int) -> list[Sighting]:
        return [each for each in self._kept if each.generation == generation]

    def _rate(self, at: float, first: int, generation: int) -> float:
        """Ports that were given in a second, since the oldest sighting from which one can count."""
        for before in self._kept:
            if before.generation != generation and 0 < at - before.at <= _RATE_WITHIN:
                return _steps(before.port, first) / (at - before.at)
        return 0.0


def _steps(before: int, after: int) -> int:
    """Ports from the one to the other, going up and around."""
    return (after - before) % (_HIGHEST + 1 - LOWEST)
