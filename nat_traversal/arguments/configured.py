"""Options of a parser from a TOML file that has their names as its keys."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping
from typing import Any

from nat_traversal.arguments.config import Config, Key
from nat_traversal.arguments.near import near
from nat_traversal.arguments.parser import Many, Parser, told
from nat_traversal.errors import UsageError

CheckWord = Callable[[str, str], object]
"""Checks one NAME and VALUE of a table. Raises `UsageError`."""


def values_of(
    parser: Parser, config: Config, *, without: Collection[str], tables: Mapping[str, CheckWord]
) -> dict[str, Any]:
    """The values of the options that `config` gives, by their places in a namespace.

    An option that takes values has text or a number; one that is a switch ``true`` or ``false``; one
    that may be given several times also a list. `tables`: the options that take NAME=VALUE, which are
    tables in the file. `without`: options that have no place in a file. Raises `UsageError`, one line
    with the place, for the first that is wrong.
    """
    known = {name: option for name, option in parser.long_options().items() if name not in without}
    found, mistakes = collected(known, config, (), config.values, tables=tables)
    if mistakes:
        raise mistakes[0]
    return found


def collected(
    known: Mapping[str, argparse.Action],
    config: Config,
    at: Key,
    table: Mapping[str, Any],
    *,
    tables: Mapping[str, CheckWord],
) -> tuple[dict[str, Any], list[UsageError]]:
    """As `values_of` for one `table`, which stands `at` in the file, and all mistakes. `known`: options by their keys there."""
    found: dict[str, Any] = {}
    mistakes: list[UsageError] = []
    for name, value in table.items():
        key = (*at, name)
        try:
            option = known.get(name)
            if option is None:
                raise config.problem(f"there is no option {name!r}: {near(name, known)}", *key)
            if name in tables:
                found[option.dest] = _table(config, key, value, tables[name])
            else:
                found[option.dest] = _value(config, key, option, value)
        except UsageError as error:
            mistakes.append(error)
    return found, mistakes


def filled(options: argparse.Namespace, values: Mapping[str, Any]) -> argparse.Namespace:
    """`options` of a command line and the environment, and from `values` those that they do not give.

    Of NAME=VALUE words each name counts by itself.
    """
    merged = argparse.Namespace(**vars(options))
    for dest, value in values.items():
        if isinstance(value, dict):
            words = getattr(options, dest)
            names = {word.partition("=")[0] for word in words}
            more = [f"{name}={each}" for name, each in value.items() if name not in names]
            setattr(merged, dest, [*more, *words])
        elif dest not in told(options):
            setattr(merged, dest, value)
    return merged


def _table(config: Config, key: Key, value: Any, check: CheckWord) -> dict[str, str]:
    name = key[-1]
    if not isinstance(value, dict):
        raise config.problem(f"{name} must be a table: write [{name}], then NAME = VALUE", *key)
    words: dict[str, str] = {}
    for inner, each in value.items():
        words[inner] = text_of(config, each, *key, inner)
        try:
            check(inner, words[inner])
        except UsageError as error:
            raise config.problem(str(error), *key, inner) from None
    return words


def _value(config: Config, key: Key, option: argparse.Action, value: Any) -> Any:
    name = key[-1]
    if option.nargs == 0:
        if not isinstance(value, bool):
            raise config.problem(f"{name} must be true or false, without quotes", *key)
        return value
    if isinstance(option, Many):
        items = value if isinstance(value, list) else [value]
        return [_parsed(config, option, text_of(config, each, *key), key) for each in items]
    return _parsed(config, option, text_of(config, value, *key), key)


def text_of(config: Config, value: Any, *key: str | int) -> str:
    """The text or number at `key` as text. Raises `UsageError`."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise config.problem(f"{key[-1]} must be a text in quotes or a number", *key)
    try:
        return str(value)
    except ValueError:  # of more digits than Python writes, from a hexadecimal one
        raise config.problem(f"{key[-1]}: a number is too long: shorten it", *key) from None


def _parsed(config: Config, option: argparse.Action, text: str, key: Key) -> Any:
    name = key[-1]
    if option.choices is not None and text not in option.choices:
        raise config.problem(f"{name} must be one of {', '.join(option.choices)}", *key)
    if not callable(option.type):
        return text
    try:
        return option.type(text)
    except argparse.ArgumentTypeError as error:
        raise config.problem(f"{name}: {error}", *key) from None
