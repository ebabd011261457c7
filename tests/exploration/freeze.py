"""A real machine as octets, to go on from later, and as a digest that is equal where it would behave equally."""

from __future__ import annotations

import hashlib
import io
import itertools
import pickle
import random
from collections import OrderedDict
from collections.abc import Iterator
from enum import Enum
from types import FunctionType, MethodType
from typing import Any

from nat_traversal.client.path_status import Story
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.machine.counters import Counter, Counters
from nat_traversal.machine.timers import Timers

_IGNORED = (Counters, Counter, Story)
"""They are for people. No behaviour depends on them."""
_SHARED = (Epochs, Counters, Counter)
_PLAIN = (bool, int, float, str, bytes, Enum)
_NAMED = (type, FunctionType)
_slots_of: dict[type, list[str]] = {}


class Dice(random.Random):
    """A source of randomness that is its seed and how often it was asked: small, and told apart."""

    def __init__(self, name: str, asked: int = 0) -> None:
        super().__init__(0)
        self.name = name
        self.asked = asked

    def randbytes(self, n: int) -> bytes:
        self.asked += 1
        return hashlib.shake_128(f"{self.name} {self.asked}".encode()).digest(n)

    def getrandbits(self, k: int, /) -> int:
        return int.from_bytes(self.randbytes((k + 7) // 8)) >> (-k % 8)

    def random(self) -> float:
        return self.getrandbits(53) / (1 << 53)

    def __reduce__(self) -> tuple[Any, ...]:
        return Dice, (self.name, self.asked)


class Freezer:
    """Octets of machines. Keys of paths and counters are shared by all copies: nothing in a round depends on them."""

    def __init__(self) -> None:
        self._shared: list[object] = []
        self._numbers: dict[int, int] = {}

    def freeze(self, machine: object) -> bytes:
        out = io.BytesIO()
        pickler = pickle.Pickler(out, pickle.HIGHEST_PROTOCOL)
        pickler.persistent_id = self._kept  # type: ignore[method-assign]
        pickler.dump(machine)
        return out.getvalue()

    def thaw(self, octets: bytes) -> Any:
        unpickler = pickle.Unpickler(io.BytesIO(octets))
        unpickler.persistent_load = self._shared.__getitem__  # type: ignore[method-assign]
        return unpickler.load()

    def _kept(self, each: object) -> int | None:
        if not isinstance(each, _SHARED):
            return None
        if id(each) not in self._numbers:
            self._numbers[id(each)] = len(self._shared)
            self._shared.append(each)
        return self._numbers[id(each)]


def digest(machine: object) -> bytes:
    """16 octets. Equal only if all is equal that the machine's behaviour can depend on."""
    return hashlib.blake2b("\0".join(_tokens(machine)).encode(), digest_size=16).digest()


def _tokens(machine: object) -> Iterator[str]:
    seen: dict[int, int] = {}
    kept: list[object] = []  # no id is used twice while this runs
    pending: list[Any] = [machine]
    while pending:
        each = pending.pop()
        if each is None or isinstance(each, _PLAIN):
            yield repr(each)
            continue
        if isinstance(each, _NAMED):
            yield each.__qualname__
            continue
        if id(each) in seen:
            yield f"again {seen[id(each)]}"
            continue
        seen[id(each)] = len(seen)
        kept.append(each)
        yield type(each).__name__
        parts = _parts(each)
        yield str(len(parts))
        pending += reversed(parts)


def _parts(each: Any) -> list[Any]:
    match each:
        case Epochs():
            return [each.binding]
        case Dice():
            return [each.name, each.asked]
        case Timers():
            return _parts(each.pending())
        case MethodType():
            return [each.__func__.__qualname__, each.__self__]
        case OrderedDict():
            return [part for item in each.items() for part in item]
        case dict():
            return [part for item in sorted(each.items(), key=_order) for part in item]
        case set() | frozenset():
            return sorted(each, key=repr)
        case itertools.count():
            return [repr(each)]
    if isinstance(each, _IGNORED):
        return []
    if hasattr(each, "__iter__") and not hasattr(each, "__dict__") and not _slots(type(each)):
        return list(each)
    return [part for name in _names(each) for part in (name, getattr(each, name))]


def _order(item: tuple[Any, Any]) -> tuple[str, str]:
    key = item[0]
    plain = isinstance(key, (*_PLAIN, tuple))
    return type(key).__name__, repr(key) if plain else ""


def _names(each: object) -> list[str]:
    slots = [name for name in _slots(type(each)) if hasattr(each, name)]
    return sorted({*getattr(each, "__dict__", ()), *slots})


def _slots(kind: type) -> list[str]:
    if (known := _slots_of.get(kind)) is not None:
        return known
    found: list[str] = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    _slots_of[kind] = [name for name in found if name not in {"__dict__", "__weakref__"}]
    return _slots_of[kind]
