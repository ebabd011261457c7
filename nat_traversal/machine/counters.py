"""One registry of counters for a process: each has a name, a meaning and a number that only grows."""

from __future__ import annotations

from collections.abc import Iterator


class Counter:
    """One number. Add to `value` where the thing happens: it is an attribute because that is fast."""

    __slots__ = ("meaning", "name", "value")

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning
        self.value = 0


class Counters:
    """The counters of a client or a server.

    Each part asks for its own by name and keeps them. Parts that ask for the same name share it.
    """

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}

    def counter(self, name: str, meaning: str) -> Counter:
        """The counter `name`, made at the first call. `meaning` says what one of it is."""
        return self._counters.setdefault(name, Counter(name, meaning))

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
