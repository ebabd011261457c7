"""Cards and signals as JSON, for a store that keeps and carries octets."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_args

from nat_traversal.errors import UsageError, WireError
from nat_traversal.server.cluster.words import Card, Signal
from nat_traversal.wire import control
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Register, UnknownMessage

_KINDS: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in get_args(Signal)}
_BOOLS, _INTS = frozenset({"validated", "is_used"}), frozenset({"connection", "generation"})
_ADDED = {"mapped": 0}
"""Fields that an earlier version does not write, and what it means by that."""


def encode_card(card: Card) -> str:
    """One line."""
    return json.dumps(_dump(card), separators=(",", ":"))


def decode_card(text: str | bytes) -> Card:
    """Raises `WireError`."""
    return _card(_parsed(text))


def encode_signal(signal: Signal) -> str:
    """One line."""
    kind = type(signal).__name__.lower()
    return json.dumps({"kind": kind, **_dump(signal)}, separators=(",", ":"))


def decode_signal(text: str | bytes) -> Signal:
    """Raises `WireError`."""
    said = _parsed(text)
    kind = _KINDS.get(str(said.get("kind")))
    if kind is None:
        raise WireError("no signal that this version knows")
    signal: Signal = kind(**{each.name: _load(each.name, said) for each in fields(kind)})
    return signal


def _dump(value: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for each in fields(value):
        inner = getattr(value, each.name)
        if each.name in ("register", "message"):
            inner = control.encode(inner).decode().rstrip("\n")
        elif each.name == "card":
            inner = _dump(inner)
        elif isinstance(inner, Endpoint):
            inner = [inner.address, inner.port]
        said[each.name] = inner
    return said


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise WireError("a text of the store is no JSON") from None
    if not isinstance(said, dict):
        raise WireError("a text of the store is no JSON object")
    return said


def _card(said: Any) -> Card:
    if not isinstance(said, dict):
        raise WireError("a card must be an object")
    return Card(**{each.name: _load(each.name, said) for each in fields(Card)})


def _load(name: str, said: dict[str, Any]) -> Any:
    value = said.get(name, _ADDED.get(name))
    if name in _BOOLS and type(value) is bool:
        return value
    if name in _INTS | _ADDED.keys() and type(value) is int:
        return value
    if name == "address" and isinstance(value, str):
        return value
    if name == "card":
        return _card(value)
    if name == "endpoint":
        return _endpoint(value)
    if name in ("register", "message") and isinstance(value, str):
        message = control.decode(value.encode())
        is_right = isinstance(message, Register) or name == "message"
        if is_right and not isinstance(message, UnknownMessage):
            return message
    raise WireError(f"{name} in the store has not its form")


def _endpoint(value: Any) -> Endpoint | None:
    match value:
        case None:
            return None
        case [str(address), int(port)]:
            try:
                return Endpoint(address, port)
            except UsageError as error:
                raise WireError(str(error)) from None
    raise WireError("an endpoint in the store has not its form")
