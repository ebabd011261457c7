"""Classes of values are what `dataclasses` would make of them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any, ClassVar

import pytest

from nat_traversal.values import frozen

_theirs = dataclass(frozen=True, slots=True)
Maker = Callable[[type[Any]], type[Any]]


def _classes(make: Maker) -> list[type[Any]]:
    """The same classes, each made by `make`."""

    @make
    class Nothing:
        pass

    @make
    class One:
        x: float

    @make
    class Many:
        """With words."""

        kind: ClassVar[str] = "many"
        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list, compare=False)
        d: int = field(default=4, repr=False)
        e: int = field(default=5, init=False)
        f: tuple[int, ...] = field(default=(), kw_only=True)

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError("a is negative")

    @make
    class More(Many):
        g: int = 7
        a: int = 8

    @make
    class Own:  # noqa: PLW1641 - it gets one
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "own"

    return [Nothing, One, Many, More, Own]


OURS, THEIRS = _classes(frozen), _classes(_theirs)
NOTHING, ONE, MANY, MORE, OWN = range(5)


@pytest.mark.parametrize("number", range(len(OURS)))
def test_fields_and_signature_are_theirs(number: int) -> None:
    ours, theirs = OURS[number], THEIRS[number]
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert list(map(repr, dataclasses.fields(ours))) == list(map(repr, dataclasses.fields(theirs)))
    assert ours.__match_args__ == theirs.__match_args__
    assert ours.__slots__ == theirs.__slots__


@pytest.mark.parametrize(
    ("number", "values", "named"),
    [
        (NOTHING, (), {}),
        (ONE, (float("nan"),), {}),
        (MANY, (1,), {}),
        (MANY, (1, "x", [1, 2], 9), {"f": (1, 2)}),
        (MORE, (), {"g": 2}),
        (MORE, (1, "x", [3], 9, 10), {}),
        (OWN, (1,), {}),
    ],
)
def test_values_are_shown_compared_and_hashed_as_theirs(
    number: int, values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    ours, theirs = (each[number](*values, **named) for each in (OURS, THEIRS))
    assert repr(ours) == repr(theirs)
    assert dataclasses.asdict(ours).items() >= dataclasses.asdict(theirs).items()
    assert hash(ours) == hash(theirs)
    again = OURS[number](*values, **named)
    assert (ours == again, hash(ours)) == (True, hash(again))
    assert (ours == theirs) is (number == OWN)
    assert dataclasses.replace(ours) == ours


def test_values_that_differ_where_it_counts_are_not_equal() -> None:
    many = OURS[MANY]
    assert many(1) != many(2)
    assert many(1, d=1) != many(1, d=2)
    assert many(1, c=[1]) == many(1, c=[2])
    assert many(1) != OURS[MORE](a=1)


def test_nothing_of_a_value_can_be_changed() -> None:
    value = OURS[MANY](1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'a'"):
        value.a = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'a'"):
        del value.a
    assert value.a == 1


def test_wrong_arguments_and_refused_values_raise_as_theirs() -> None:
    for made in (OURS[MANY], THEIRS[MANY]):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
            made()
        with pytest.raises(TypeError, match="unexpected keyword argument 'e'"):
            made(1, e=1)
        with pytest.raises(ValueError, match="a is negative"):
            made(-1)


def test_each_value_has_a_default_of_its_own() -> None:
    many = OURS[MANY]
    assert many(1).c is not many(1).c


@frozen
class Held:
    """Where `pickle` finds it."""

    x: int
    of: Held | None = None


def test_copies_are_equal() -> None:
    value = Held(1, Held(2))
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    match value:
        case Held(x, Held(y)):
            assert (x, y) == (1, 2)
        case _:
            raise AssertionError(value)
