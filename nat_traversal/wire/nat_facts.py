"""The behaviour of one host's NAT in a few octets, as hosts tell each other: for words to people, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from nat_traversal.errors import WireError
from nat_traversal.wire.behavior import Filtering, Mapping, PortAllocation

T = TypeVar("T", bound=StrEnum)

SIZE = 4
_FLAG = {0: None, 1: False, 2: True}


@dataclass(frozen=True, slots=True)
class NatFacts:
    """As far as it is known: None is not known. A host without a NAT is endpoint-independent, and keeps its port."""

    mapping: Mapping | None = None
    filtering: Filtering | None = None
    allocation: PortAllocation | None = None
    order_sensitive: bool | None = None

    def encode(self) -> bytes:
        """4 octets."""
        flag = next(number for number, value in _FLAG.items() if value is self.order_sensitive)
        return bytes(
            (
                _number(Mapping, self.mapping),
                _number(Filtering, self.filtering),
                _number(PortAllocation, self.allocation),
                flag,
            )
        )

    @classmethod
    def decode(cls, octets: bytes) -> NatFacts:
        """The facts in `octets`. A number of a later version is not known. Raises `WireError` if they are too few."""
        if len(octets) < SIZE:
            raise WireError(f"{len(octets)} octets of NAT facts: there are {SIZE}")
        return cls(
            _term(Mapping, octets[0]),
            _term(Filtering, octets[1]),
            _term(PortAllocation, octets[2]),
            _FLAG.get(octets[3]),
        )


def _number(kind: type[T], term: T | None) -> int:
    """From 1, in the order of the terms; 0: not known."""
    return 0 if term is None else list(kind).index(term) + 1


def _term(kind: type[T], number: int) -> T | None:
    terms = list(kind)
    return terms[number - 1] if 0 < number <= len(terms) else None
