"""TOML that people write, read strictly: each mistake is one line with file, line and remedy. Pure.

`tomllib` tells where the syntax is wrong, but not where a value stood. `Source` finds that again.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from nat_traversal.errors import UsageError

T = TypeVar("T")
Keys = tuple[str, ...]

_HEADER = re.compile(r"\s*\[(\[)?\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
_KINDS = {str: "a text in quotes", dict: "a table", list: "a list", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Source:
    """A TOML file's name and text."""

    name: str
    text: str

    def table(self) -> Table:
        """All of it. Raises `UsageError` for what is no TOML."""
        try:
            values = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            found = _SYNTAX.fullmatch(str(error))
            words = found[1] if found else str(error)
            last = len(self.text.splitlines()) or 1
            line = int(found[2]) if found and found[2] else last
            raise UsageError(
                f"{self.name}:{line}: this is no TOML: {words}; texts stand in quotes, and a"
                " table begins with its name in brackets, as [peers.a]"
            ) from None
        return Table(self, (), values)

    def line(self, keys: Keys) -> int:
        """The line of the value or table that `keys` lead to, or of the nearest one around it."""
        places = dict(self._places())
        while keys and keys not in places:
            keys = keys[:-1]
        return places.get(keys, 1)

    def _places(self) -> Iterator[tuple[Keys, int]]:
        table: Keys = ()
        counts: dict[Keys, int] = {}
        quote = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            if quote:
                quote = "" if line.count(quote) % 2 else quote
                continue
            if header := _HEADER.match(line):
                table = _split(header[2])
                if header[1]:
                    position = counts[table] = counts.get(table, -1) + 1
                    yield table, number
                    table = (*table, str(position))
                yield table, number
            elif key := _KEY.match(line):
                names = _split(key[1])
                for end in range(1, len(names) + 1):
                    yield (*table, *names[:end]), number
            quote = next((each for each in ('"""', "'''") if line.count(each) % 2), "")


def _split(dotted: str) -> Keys:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


@dataclass(slots=True)
class Table:
    """One table, whose keys are taken one by one; `finish` refuses what is left."""

    source: Source
    keys: Keys
    values: Mapping[str, Any]
    known: list[str] = field(default_factory=list)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    @property
    def name(self) -> str:
        return ".".join(self.keys)

    def refuse(self, reason: str, key: str | None = None) -> NoReturn:
        """Raise `UsageError` about `key`, or about the table."""
        keys = self.keys if key is None else (*self.keys, key)
        where = f"{'.'.join(keys)}: " if keys else ""
        raise UsageError(f"{self.source.name}:{self.source.line(keys)}: {where}{reason}") from None

    def take(self, key: str, kind: type[T], example: str) -> T | None:
        """The value of `key`, which has to be a `kind`; None without one. `example` shows a right one."""
        self.known.append(key)
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(f"{value!r} is not {_KINDS[kind]}: write it as {key} = {example}", key)
        return value

    def text(self, key: str, example: str) -> str | None:
        """A text that is not empty."""
        value = self.take(key, str, f'"{example}"')
        if value is not None and not value.strip():
            self.refuse(f'an empty text: write it as {key} = "{example}"', key)
        return value

    def read(self, key: str, parse: Callable[[str], T], example: str) -> T | None:
        """A text that `parse` reads; its `UsageError` gets file and line."""
        value = self.text(key, example)
        return None if value is None else self._parsed(key, parse, value)

    def duration(self, key: str, parse: Callable[[str], float], example: str) -> float | None:
        """The seconds of a duration: a text that `parse` reads, or a bare number."""
        value = self.values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.known.append(key)
            return self._parsed(key, parse, str(value))
        return self.read(key, parse, example)

    def read_all(self, key: str, parse: Callable[[str], T], example: str) -> tuple[T, ...]:
        """A list of such texts; without one, or a single text, it is short."""
        value = self.values.get(key, [])
        self.known.append(key)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            self.refuse(f'{value!r} is no list of texts: write it as {key} = ["{example}"]', key)
        return tuple(self._parsed(key, parse, each) for each in values)

    def _parsed(self, key: str, parse: Callable[[str], T], value: str) -> T:
        try:
            return parse(value)
        except UsageError as error:
            self.refuse(str(error), key)

    def table(self, key: str) -> Table | None:
        """The table under `key`."""
        values = self.take(key, dict, "{ ... }")
        return None if values is None else Table(self.source, (*self.keys, key), values)

    def tables(self, key: str) -> list[Table]:
        """The tables under ``[[key]]``, or the one under ``[key]``."""
        if isinstance(self.values.get(key), list):
            values = self.take(key, list, "{ ... }") or []
            if not all(isinstance(each, dict) for each in values):
                self.refuse(f"write each as a table [[{key}]]", key)
            places = ((*self.keys, key, str(number)) for number in range(len(values)))
            return [
                Table(self.source, keys, each) for keys, each in zip(places, values, strict=True)
            ]
        one = self.table(key)
        return [] if one is None else [one]

    def named(self, key: str) -> dict[str, Table]:
        """The tables ``[key.NAME]`` by their names, in the order of the file."""
        outer = self.table(key)
        if outer is None:
            return {}
        found = {name: outer.table(name) for name in outer.values}
        return {name: each for name, each in found.items() if each is not None}

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self.values:
            if key not in self.known:
                close = get_close_matches(key, self.known, 1)
                hint = f"do you mean {close[0]}?" if close else f"there are {', '.join(self.known)}"
                self.refuse(f"there is no such key here: {hint}", key)
