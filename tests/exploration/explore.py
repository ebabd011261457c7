"""A breadth-first search over every world that can follow, and from each of them a way to the end."""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.exploration.machines import A, B
from tests.exploration.values import Numbered, Rules, World, WrongError
from tests.exploration.world import Explorer

_PACKED = struct.Struct(f"{len(World._fields)}I")


@dataclass(slots=True)
class Found:
    """What a search has seen."""

    states: int = 0
    by_faults: list[int] = field(default_factory=list)
    """How many of the states take no fewer faults than their index."""
    steps: int = 0
    depth: int = 0
    """The most steps to a state by the shortest way with the fewest faults."""
    machine_states: int = 0
    machine_steps: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    is_complete: bool = True
    """False: the bound on states was reached first."""


class _Seen:
    """Worlds by number, in the order in which they were found.

    A world on the edge of the search is its parts' numbers, as most worlds share most of their parts. Of all others only a
    hash of 64 bits is kept, and how they were reached: two worlds with one hash would be taken for one. Among 10 million
    worlds any two have one with a probability of 3 in a million.
    """

    def __init__(self) -> None:
        self._parts: list[Numbered[Any]] = [Numbered() for _ in World._fields]
        self._numbers: dict[int, int] = {}
        self.parents, self.names, self.depths = array("i"), array("H"), array("H")
        self._said: Numbered[str] = Numbered()

    def __len__(self) -> int:
        return len(self.parents)

    def packed(self, world: World) -> bytes:
        """The numbers of its parts."""
        parts = zip(self._parts, world, strict=True)
        return _PACKED.pack(*[part.number(each) for part, each in parts])

    def unpacked(self, packed: bytes) -> World:
        """The world of these parts."""
        numbers = _PACKED.unpack(packed)
        return World(*(part[each] for part, each in zip(self._parts, numbers, strict=True)))

    def has(self, packed: bytes) -> bool:
        """Whether the world has been seen."""
        return hash(packed) in self._numbers

    def add(self, packed: bytes, parent: int, name: str) -> tuple[int, bool]:
        """Its number, and whether it is new."""
        mark = hash(packed)
        known = self._numbers.get(mark)
        if known is not None:
            return known, False
        self._numbers[mark] = number = len(self.parents)
        self.parents.append(parent)
        self.names.append(self._said.number(name))
        self.depths.append(self.depths[parent] + 1 if parent >= 0 else 0)
        return number, True

    def way(self, number: int) -> str:
        """All that has happened until then."""
        way = []
        while number > 0:
            way.append(self._said[self.names[number]])
            number = self.parents[number]
        return " | ".join(reversed(way))


def explore(
    rules: Rules, faults: int, most: int = 100_000_000, tell: Callable[[str], None] | None = None
) -> Found:
    """Every world with at most so many faults, up to `most`. Raises `WrongError` with the way to what must
    not be."""
    explorer, found, seen = Explorer(rules), Found(), _Seen()
    sources, targets = array("i"), array("i")
    """Every step without a fault."""
    ends: list[int] = []
    first = seen.packed(explorer.first())
    layer = [(seen.add(first, -1, "")[0], first)]
    for used in range(faults + 1):
        after_a_fault: dict[bytes, tuple[int, str]] = {}
        before = len(seen) - len(layer)
        while layer:
            following = []
            for number, packed in layer:
                world = seen.unpacked(packed)
                if explorer.is_over(world):
                    ends.append(number)
                    found.ends[_end(explorer, world)] += 1
                    continue
                try:
                    for name, is_fault, after in explorer.steps(world, faults=used < faults):
                        found.steps += 1
                        next_one = seen.packed(after)
                        if is_fault:
                            if not seen.has(next_one):
                                after_a_fault.setdefault(next_one, (number, name))
                            continue
                        to, is_new = seen.add(next_one, number, name)
                        sources.append(number)
                        targets.append(to)
                        if is_new:
                            following.append((to, next_one))
                except WrongError as error:
                    raise WrongError(f"{error}, after {seen.way(number)}") from error
            layer = following
            if len(seen) > most:
                found.is_complete = False
                return _counted(found, seen, explorer)
        found.by_faults.append(len(seen) - before)
        if tell is not None:
            tell(f"{used} faults: {_counted(found, seen, explorer)}")
        for packed, (number, name) in after_a_fault.items():
            to, is_new = seen.add(packed, number, name)
            if is_new:
                layer.append((to, packed))
    _require_ways_on(seen, sources, targets, ends)
    return _counted(found, seen, explorer)


def _counted(found: Found, seen: _Seen, explorer: Explorer) -> Found:
    found.states, found.depth = len(seen), max(seen.depths)
    found.machine_states, found.machine_steps = len(explorer.machines), explorer.machines.taken
    return found


def _require_ways_on(
    seen: _Seen, sources: array[int], targets: array[int], ends: list[int]
) -> None:
    """From every world an end can be reached without a further fault."""
    first = array("i", bytes(4 * (len(seen) + 1)))
    for target in targets:
        first[target + 1] += 1
    for number in range(len(seen)):
        first[number + 1] += first[number]
    at, before = array("i", first), array("i", bytes(4 * len(sources)))
    for source, target in zip(sources, targets, strict=True):
        before[at[target]] = source
        at[target] += 1
    leads = bytearray(len(seen))
    pending = list(ends)
    for number in pending:
        leads[number] = 1
    while pending:
        number = pending.pop()
        for index in range(first[number], first[number + 1]):
            if not leads[before[index]]:
                leads[before[index]] = 1
                pending.append(before[index])
    stuck = leads.find(0)
    if stuck >= 0:
        raise WrongError(f"nothing leads on after {seen.way(stuck)}")


def _end(explorer: Explorer, world: World) -> str:
    if explorer.phase(world, A) != "ESTABLISHED":
        return "no path"
    if world.claims[A] != world.claims[B]:
        return "paths of different rounds"
    used = {client: socket for client, socket, tag in world.paths if tag == world.claims[client]}
    return f"connected by sockets {used[A]} and {used[B]}"
