"""Settings as fields that know their range: made by code or from words, and checked alike.

A value out of its range is a `UsageError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import Field, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.arguments.near import near
from nat_traversal.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Number = TypeVar("_Number", int, float)
_Settings = TypeVar("_Settings", bound="DataclassInstance")


def number(default: _Number, low: float, high: float, *, or_zero: bool = False) -> _Number:
    """One setting: whole if its default is, from `low` to `high`. `or_zero`: 0 has a meaning of its own."""
    return field(default=default, metadata={"low": low, "high": high, "or_zero": or_zero})


def seconds(default: float, low: float = 0.0, high: float = DAY) -> float:
    """One setting that is a time in seconds; as text it may have a unit."""
    return field(default=default, metadata={"low": low, "high": high, "unit": "s"})


def check(settings: DataclassInstance) -> None:
    """Raises `UsageError`, one line, for the first setting that is out of its range."""
    for each in fields(settings):
        value, low, high = getattr(settings, each.name), each.metadata["low"], each.metadata["high"]
        is_whole = type(each.default) is int
        fits = type(value) is int or (type(value) is float and not is_whole)
        or_zero = each.metadata.get("or_zero", False)
        if not fits or not (low <= value <= high or (or_zero and value == 0)):
            kind = "a whole number" if is_whole else "a number"
            kind = f"0 or {kind}" if or_zero else kind
            raise UsageError(
                f"{_flag(each)} must be {kind} from {low:.12g} to {high:.12g}, not {value!r}"
            )


def names(kind: type[DataclassInstance]) -> list[str]:
    """The settings of `kind` by the names that users write."""
    return [_flag(each) for each in fields(kind)]


def parse(kind: type[_Settings], words: Iterable[str]) -> _Settings:
    """Settings of `kind` from ``NAME=VALUE`` each; a time is ``40ms``, ``2.5s``, ``2m``, ``1h`` or a bare number of seconds.

    Raises `UsageError`, one line, for a name that is none, a value that is none, or one out of its range.
    """
    known = {_flag(each): each for each in fields(kind)}
    values: dict[str, float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        each = known.get(name)
        if each is None or not equals:
            raise UsageError(f"{word!r} must be NAME=VALUE, with one of {', '.join(known)}")
        if each.name in values:
            raise UsageError(f"{name} is given twice, but it has one value")
        values[each.name] = _value(each, text)
    return kind(**values)


def _flag(each: Field[Any]) -> str:
    return each.name.replace("_", "-")


def _value(each: Field[Any], text: str) -> float:
    if "unit" in each.metadata:
        try:
            return parse_duration(text)
        except UsageError as error:
            raise UsageError(f"{_flag(each)}: {error}") from None
    found = re.fullmatch(r"\d{1,12}(?:\.\d{1,12})?", text, re.ASCII)
    if found is None:
        raise UsageError(f"{_flag(each)} must be a number, not {text!r}")
    if type(each.default) is int and "." not in text:
        return int(text)
    return float(text)


def check_setting(settings: type[Any], name: str, text: str) -> None:
    """Refuse a NAME and VALUE of ``set`` that `settings` does not have. Raises `UsageError`."""
    known = names(settings)
    if name not in known:
        raise UsageError(f"there is no setting {name!r}: {near(name, known)}")
    parse(settings, [f"{name}={text}"])
