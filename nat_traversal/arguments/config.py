"""A TOML file whose mistakes are told with their place: its values, and the line of each."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from nat_traversal.arguments.user_file import descriptor_of
from nat_traversal.errors import UsageError

MAX_SIZE = 1 << 20
"""Octets in a file. Longer ones are refused: nobody writes that by hand."""
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_LONG = re.compile(r"[0-9_]{4301}")
"""More digits than Python reads."""
_TOKEN = re.compile(
    r"""
    "{3} [^"\\]* (?: (?: \\. | "{1,2}(?!") ) [^"\\]* )* "{3,5}  # before a text of one line
    | '{3} [^']* (?: '{1,2}(?!') [^']* )* '{3,5}
    | " [^"\\\n]* (?: \\. [^"\\\n]* )* "
    | ' [^'\n]* '
    | \# [^\n]*
    | [\[\]{}\n]
    """,
    re.VERBOSE | re.DOTALL,
)
"""The parts of TOML 1.0 that decide where a statement ends: texts, comments, brackets, ends of lines.

No group in it is possessive: before 3.11.5 Python ends such a one too early.
"""
_OPENING, _CLOSING = ("[", "{"), ("]", "}")
_OPTION = re.compile(r"--([a-z][a-z-]*)")

Key = tuple[str | int, ...]
"""Where a value stands: the names of tables and keys, and the numbers, from 0, in arrays of tables."""


class Config:
    """One file. `values` is the whole document, as `tomllib` gives it."""

    def __init__(self, path: str, values: dict[str, Any], lines: Mapping[Key, int]) -> None:
        self.path = path
        self.values = values
        self._lines = lines

    def line(self, *key: str | int) -> int | None:
        """The line, from 1, of a key or a table; of the innermost one around it that has a line."""
        while key:
            if key in self._lines:
                return self._lines[key]
            key = key[:-1]
        return None

    def problem(self, text: str, *key: str | int) -> UsageError:
        """The error for what stands at `key`: one line, with its place before `text`."""
        return UsageError(f"{_where(self.path, self.line(*key))}: {text}")

    def blamed(self, error: UsageError) -> UsageError:
        """`error` of options that do not go together, with the place of the first that stands in the file."""
        for name in _OPTION.findall(str(error)):
            if name in self.values:
                return self.problem(str(error), name)
        return error


def read(path: str) -> Config:
    """Read a file. Raises `UsageError`, one line with the place and what would be right."""
    try:
        with os.fdopen(descriptor_of(path), "rb") as file:
            octets = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(octets) > MAX_SIZE:
        raise UsageError(f"{path}: more than {MAX_SIZE} octets are no configuration")
    try:
        return parse(octets.decode("utf-8-sig"), path)
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{_where(path, line)}: not in UTF-8: save it in that form") from None


def parse(text: str, path: str) -> Config:
    """The same for `text`, which errors call `path`. Raises `UsageError`."""
    try:
        values = tomllib.loads(text)
        places = _places(text)
    except (ValueError, RecursionError) as error:  # ValueError also for a number that is too long
        raise _malformed(text, path, error) from None
    return Config(path, values, places)


def _where(path: str, line: int | None) -> str:
    return path if line is None else f"{path}:{line}"


def _malformed(text: str, path: str, error: Exception) -> UsageError:
    if not isinstance(error, tomllib.TOMLDecodeError | RecursionError):
        lines = (number for number, line in enumerate(text.splitlines(), 1) if _LONG.search(line))
        return UsageError(f"{_where(path, next(lines, None))}: a number is too long: shorten it")
    said = str(error)
    place = _PLACE.search(said)
    line = len(text.splitlines()) or 1
    if place is not None:
        line = int(place[1]) if place[1] else line
        said = said[: place.start()]
    return UsageError(
        f"{_where(path, line)}: no TOML: {said[:1].lower()}{said[1:]}; write NAME = VALUE, text in quotes"
    )


def _places(text: str) -> dict[Key, int]:
    """The line of each key and table of `text`, which is TOML.

    `tomllib` tells no lines, so it reads each statement by itself.
    """
    places: dict[Key, int] = {}
    table: Key = ()
    counts: dict[Key, int] = {}
    for number, statement in _statements(text):
        said = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(said, counts)
            places.setdefault(table, number)
        else:
            for key in _keys(said):
                places.setdefault((*table, *key), number)
    return places


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement and the number of its first line."""
    number, depth, begin = 1, 0, 0
    for token in _TOKEN.finditer(text):
        word = token[0]
        depth += (word in _OPENING) - (word in _CLOSING)
        if word != "\n" or depth:
            continue
        yield from _statement(number, text[begin : token.end()])
        number += text.count("\n", begin, token.end())
        begin = token.end()
    yield from _statement(number, text[begin:])


def _statement(number: int, said: str) -> Iterator[tuple[int, str]]:
    if (bare := said.strip()) and not bare.startswith("#"):
        yield number, said


def _header(said: dict[str, Any], counts: dict[Key, int]) -> Key:
    """The table that a header such as ``[a.b]`` or ``[[a]]`` begins. `counts`: of each array, its tables so far."""
    table: Key = ()
    value: Any = said
    while value:
        if isinstance(value, dict):
            ((name, value),) = value.items()
            table = (*table, name)
            if isinstance(value, dict) and table in counts:  # below the newest table of an array
                table = (*table, counts[table] - 1)
        else:
            (value,) = value
            counts[table] = counts.get(table, 0) + 1
            table = (*table, counts[table] - 1)
    return table


def _keys(value: Any) -> Iterator[Key]:
    """Every key in `value`, those inside inline tables as well."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (name,)
            yield from ((name, *rest) for rest in _keys(inner))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from ((index, *rest) for rest in _keys(inner))
