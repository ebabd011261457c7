"""One registry of counters for a process: each has a name, a meaning and a number that only grows.

Beside them gauges: numbers that are read when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


class Counter:
    """One number. Add to `value` where the thing happens: it is an attribute because that is fast.

    Those of one `family` count the same thing, apart by their `labels`; `name` has both in it.
    """

    __slots__ = ("family", "labels", "meaning", "name", "value")

    def __init__(self, family: str, meaning: str, labels: Mapping[str, str]) -> None:
        self.family = family
        self.labels = labels
        self.name = "-".join((family, *labels.values()))
        self.meaning = meaning
        self.value = 0


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that `read` gives: how many there are now, and of them at `most` so many, if there is a limit."""

    name: str
    meaning: str
    read: Callable[[], float]
    most: Callable[[], float] | None = None


class Counters:
    """The counters of a client or a server.

    Each part asks for its own by name and keeps them. Parts that ask for the same name share it.
    """

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self.gauges: dict[str, Gauge] = {}

    def counter(self, family: str, meaning: str, **labels: str) -> Counter:
        """The counter of `family` with these labels, made at the first call. `meaning` says what one of
        the family is; the counters of one family have the same labels, with other values."""
        made = Counter(family, meaning, labels)
        return self._counters.setdefault(made.name, made)

    def gauge(
        self,
        name: str,
        meaning: str,
        read: Callable[[], float],
        most: Callable[[], float] | None = None,
    ) -> None:
        """From now on the gauge `name` can be read."""
        self.gauges[name] = Gauge(name, meaning, read, most)

    def __getitem__(self, name: str) -> int:
        """The number of `name`: 0 while nobody has asked for such a counter."""
        found = self._counters.get(name)
        return found.value if found else 0

    def __iter__(self) -> Iterator[Counter]:
        return iter(self._counters.values())

    def snapshot(self) -> dict[str, int]:
        """Every number by its name, in the order in which the counters were made."""
        return {counter.name: counter.value for counter in self}

    def counted(self) -> dict[str, int]:
        """The numbers that are not 0, by their names."""
        return {name: value for name, value in self.snapshot().items() if value}
