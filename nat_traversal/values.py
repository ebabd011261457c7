"""Classes of values: as `dataclasses.dataclass(frozen=True, slots=True)` makes them, in a quarter of the time.

Python before 3.13 compiles six functions for each such class, which was most of a client's start. Here `__init__` alone is
compiled. What compares, hashes, shows and refuses is the same for all. Instances are made faster too, by the slots' own
descriptors. `dataclasses` itself finds the fields, so its `fields`, `replace` and `asdict` work. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


class _Absent:
    """Stands for a new one in signatures."""

    def __repr__(self) -> str:
        return "<factory>"


_ABSENT: Any = _Absent()


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """A class of values that never change: its annotations are its fields, in slots.

    The class's own methods stay. `InitVar` is not for these classes.
    """
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else `dataclasses` makes a signature, which takes longest
    made = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    theirs = fields(made)  # type: ignore[arg-type] # it is a dataclass now
    compared = _values([each.name for each in theirs if each.compare])
    hashed = _values(
        [each.name for each in theirs if (each.compare if each.hash is None else each.hash)]
    )

    def same(self: object, other: object) -> object:
        if other.__class__ is self.__class__:
            return compared(self) == compared(other)
        return NotImplemented

    methods: dict[str, Callable[..., object]] = {
        "__eq__": same,
        "__hash__": lambda self: hash(hashed(self)),
        "__repr__": _shown,
        "__setattr__": _refuse_change,
        "__delattr__": _refuse_deletion,
        "__getstate__": _state,
        "__setstate__": _restore,
    }
    if "__init__" not in cls.__dict__:
        methods["__init__"] = _maker(made, theirs)
    for name, method in methods.items():
        # A class with an __eq__ of its own has None for its hash, without having said so.
        if cls.__dict__.get(name) is None:
            setattr(made, name, method)
    return made


def _values(names: list[str]) -> Callable[[object], tuple[object, ...]]:
    """A function to the tuple of these attributes' values."""
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _value: ()
    only = attrgetter(names[0])
    return lambda value: (only(value),)


def _maker(cls: type[Any], theirs: tuple[Field[Any], ...]) -> Callable[..., None]:
    """`__init__`, which sets each slot by its descriptor: nothing else can."""
    places: dict[str, Any] = {"_ABSENT": _ABSENT}
    parameters: list[str] = []
    lines = []
    for each in sorted(theirs, key=lambda each: each.kw_only is True):
        name = each.name
        value = name
        if each.default_factory is not MISSING:
            places[f"_new_{name}"] = each.default_factory
            value = f"_new_{name}()"
            if each.init:
                value += f" if {name} is _ABSENT else {name}"
        elif not each.init:
            if each.default is MISSING:
                continue
            value = f"_default_{name}"
        if each.default is not MISSING:
            places[f"_default_{name}"] = each.default
        if each.init:
            parameters += _parameter(each, parameters)
        places[f"_set_{name}"] = getattr(cls, name).__set__
        lines.append(f" _set_{name}(self,{value})\n")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()\n")
    head = ",".join(["self", *parameters])
    exec(f"def __init__({head}):\n{''.join(lines) or ' pass'}", places)  # noqa: S102 - of names alone
    made: Callable[..., None] = places["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {each.name: each.type for each in theirs if each.init} | {"return": None}
    return made


def _parameter(each: Field[Any], before: list[str]) -> list[str]:
    star = ["*"] if each.kw_only and "*" not in before else []
    if each.default is not MISSING:
        return [*star, f"{each.name}=_default_{each.name}"]
    return [*star, each.name if each.default_factory is MISSING else f"{each.name}=_ABSENT"]


@recursive_repr()
def _shown(self: Any) -> str:
    texts = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{self.__class__.__qualname__}({', '.join(texts)})"


def _refuse_change(_self: object, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for each, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
