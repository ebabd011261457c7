"""A breadth-first search over every world that can follow, and from each of them a way to the end."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.exploration.machines import A, B
from tests.exploration.values import Numbered, Rules, World, WrongError
from tests.exploration.world import Explorer


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
    """Worlds by number. Their parts are kept once each, as most worlds share most of them."""

    def __init__(self) -> None:
        self._parts: list[Numbered[Any]] = [Numbered() for _ in World._fields]
        self._numbers: dict[tuple[int, ...], int] = {}
        self.parents, self.names, self.depths = array("i"), array("H"), array("H")
        self._said: Numbered[str] = Numbered()
        self._keys: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: int) -> World:
        key = self._keys[number]
        return World(*(part[each] for part, each in zip(self._parts, key, strict=True)))

    def add(self, world: World, parent: int, name: str) -> tuple[int, bool]:
        """Its number, and whether it is new."""
        key = tuple(part.number(each) for part, each in zip(self._parts, world, strict=True))
        known = self._numbers.get(key)
        if known is not None:
            return known, False
        self._numbers[key] = number = len(self._keys)
        self._keys.append(key)
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
    layer = [seen.add(explorer.first(), -1, "")[0]]
    for used in range(faults + 1):
        after_a_fault: list[tuple[int, str, World]] = []
        before = len(seen) - len(layer)
        while layer:
            following = []
            for number in layer:
                world = seen[number]
                if explorer.is_over(world):
                    ends.append(number)
                    found.ends[_end(explorer, world)] += 1
                    continue
                try:
                    for name, is_fault, after in explorer.steps(world):
                        if is_fault:
                            if used < faults:
                                after_a_fault.append((number, name, after))
                            continue
                        found.steps += 1
                        to, is_new = seen.add(after, number, name)
                        sources.append(number)
                        targets.append(to)
                        if is_new:
                            following.append(to)
                except WrongError as error:
                    raise WrongError(f"{error}, after {seen.way(number)}") from error
            layer = following
            if len(seen) > most:
                found.is_complete = False
                return _counted(found, seen, explorer)
        found.by_faults.append(len(seen) - before)
        if tell is not None:
            tell(f"{used} faults: {_counted(found, seen, explorer)}")
        for number, name, after in after_a_fault:
            found.steps += 1
            to, is_new = seen.add(after, number, name)
            if is_new:
                layer.append(to)
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
