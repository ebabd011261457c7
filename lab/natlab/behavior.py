"""A NAT as one value: RFC 4787's terms, the lab's own flags, and the id that says both. Pure.

A NAT is a `NatBehavior`. It has an id, ``MAPPING+FILTERING[+FLAG...]``, for example ``EIM+ADF`` or
``APDM+APDF+sequential+30s``; `natlab.presets.preset` takes an id wherever it takes a preset's name.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from nat_traversal.arguments.durations import parse_duration
from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import (
    FILTERING_IDS,
    MAPPING_IDS,
    Filtering,
    Hairpin,
    Mapping,
    PortAllocation,
    Refresh,
)
from natlab.terms import (
    AfterError,
    CrossingSyn,
    Fragments,
    IcmpErrors,
    Ipv6,
    Ipv6Filtering,
    Parity,
    Payload,
    Syn,
    TcpFiltering,
    TcpMapping,
)


class Unsolicited(StrEnum):
    """How a NAT treats a packet from outside that its filter does not let in."""

    DROP = "drop"
    """Silence."""

    REJECT = "reject"
    """Answered with ICMP port unreachable."""

    ORDER_SENSITIVE = "order-sensitive"
    """Stock Linux masquerading without an input drop rule: the router takes the packet as its own,
    and the inside host's later packet on the same 5-tuple leaves from another port
    (`docs/lab/how-it-works.md`, "The order-sensitive NAT")."""


class Protocols(StrEnum):
    """The protocols that pass at all, in either direction."""

    ANY = "any-protocol"
    NO_UDP = "no-udp"
    """Everything but UDP."""
    TCP_ONLY = "tcp-only"
    """Neither UDP nor anything else: no ICMP either, so no ping and no path MTU discovery."""


class Overflow(StrEnum):
    """The fate of a new session at a NAT that has as many as it may have."""

    REFUSE = "refuse"
    """Its packets are dropped."""
    EVICT = "evict"
    """It takes the place of another one. Places are given round and round, so that is an old one."""


class Pooling(StrEnum):
    """Which of several external addresses a mapping gets (RFC 4787 section 4.1)."""

    PAIRED = "paired"
    """The same one for all mappings of an internal address (REQ-2)."""
    ARBITRARY = "arbitrary"
    """The next one for each mapping."""


class PortMapping(StrEnum):
    """Whether the router leads ports to hosts that ask for it."""

    NONE = "no-port-mapping"
    ASKED = "port-mapping"
    """By PCP, NAT-PMP and UPnP-IGD: a real miniupnpd runs on it."""


LIFETIME = 120
"""Seconds without a refresh until a mapping ends: the least that RFC 4787 REQ-5 allows."""
TCP_ESTABLISHED, TCP_TRANSITORY = 7440, 240
"""Seconds without a packet until a TCP connection ends, and until one that begins or closes does: the least that
RFC 5382 REQ-5 allows."""


@dataclass(frozen=True, slots=True)
class NatBehavior:
    """One NAT, as a value. `lifetime` is in whole seconds, from 1. Raises `UsageError` for less.

    `sessions` is the most that it has at a time, 0 for no such limit: a session is what one internal
    endpoint has with one remote endpoint. `background` is how many datagrams a second other
    subscribers send, each from a new endpoint. `addresses` is how many external ones it has.
    `tcp_sessions` is the most TCP connections from inside, 0 for no limit; `tcp_established` and
    `tcp_transitory` are seconds. Their ranges are in `NUMBERS`.
    """

    mapping: Mapping
    filtering: Filtering
    unsolicited: Unsolicited = Unsolicited.DROP
    allocation: PortAllocation = PortAllocation.PRESERVING
    hairpin: Hairpin = Hairpin.NONE
    refresh: Refresh = Refresh.OUTBOUND
    lifetime: int = LIFETIME
    protocols: Protocols = Protocols.ANY
    sessions: int = 0
    overflow: Overflow = Overflow.REFUSE
    background: int = 0
    addresses: int = 1
    pooling: Pooling = Pooling.PAIRED
    port_mapping: PortMapping = PortMapping.NONE
    tcp_mapping: TcpMapping = TcpMapping.ENDPOINT_INDEPENDENT
    tcp_filtering: TcpFiltering = TcpFiltering.ADDRESS_AND_PORT_DEPENDENT
    crossing_syn: CrossingSyn = CrossingSyn.LET_IN
    syn: Syn = Syn.AS_REST
    tcp_sessions: int = 0
    tcp_established: int = TCP_ESTABLISHED
    tcp_transitory: int = TCP_TRANSITORY
    icmp_errors: IcmpErrors = IcmpErrors.TRANSLATED
    after_error: AfterError = AfterError.NOTHING
    fragments: Fragments = Fragments.PASSED
    parity: Parity = Parity.ANY
    payload: Payload = Payload.LEFT
    ipv6: Ipv6 = Ipv6.FIREWALL
    ipv6_filtering: Ipv6Filtering = Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT

    def __post_init__(self) -> None:
        if self.lifetime < 1:
            raise UsageError(f"a NAT mapping cannot live {self.lifetime} seconds: give 1 or more")
        for name, number in NUMBERS.items():
            value = getattr(self, name)
            if value != number.usual and not number.takes(value):
                raise UsageError(
                    f"a NAT cannot have {number.flag(name, value)}: give {number.words}"
                )
        for name in ("sessions", "tcp_sessions"):
            value = getattr(self, name)
            if value & (value - 1):
                flag = NUMBERS[name].flag(name, value)
                raise UsageError(f"{flag} is no power of two: give one, as 4096")

    @property
    def blocks_udp(self) -> bool:
        return self.protocols is not Protocols.ANY

    def __str__(self) -> str:
        """The id, which `parse_behavior` reads. Usual flags of the mapping are left out."""
        usual = usual_behavior(self.mapping, self.filtering)
        parts = [MAPPING_IDS[self.mapping], FILTERING_IDS[self.filtering]]
        parts += [
            str(ours)
            for field in TERMS
            if (ours := getattr(self, field)) is not getattr(usual, field)
        ]
        parts += [
            number.flag(name, value)
            for name, number in NUMBERS.items()
            if (value := getattr(self, name)) != number.usual
        ]
        parts += [f"{self.lifetime}s"] if self.lifetime != usual.lifetime else []
        return "+".join(parts)


@dataclass(frozen=True, slots=True)
class Number:
    """A flag with a number, such as ``sessions-4096``."""

    usual: int
    """Without the flag."""
    least: int
    most: int
    is_duration: bool = False
    """It is whole seconds, written as every duration is."""

    def flag(self, name: str, value: int) -> str:
        return f"{name.replace('_', '-')}-{value}{'s' if self.is_duration else ''}"

    def takes(self, value: int) -> bool:
        return self.least <= value <= self.most

    @property
    def words(self) -> str:
        unit = "s" if self.is_duration else ""
        return f"{self.least}{unit} to {self.most}{unit}"


NUMBERS: MappingABC[str, Number] = {
    "sessions": Number(0, 64, 32_768),  # the probes alone take 17
    "background": Number(0, 1, 1000),
    "addresses": Number(1, 2, 4),
    "tcp_sessions": Number(0, 64, 32_768),
    "tcp_established": Number(
        TCP_ESTABLISHED, 1, 432_000, is_duration=True
    ),  # Linux' own are 5 days
    "tcp_transitory": Number(TCP_TRANSITORY, 1, 7440, is_duration=True),
}
"""The flags with a number, by the name of the field."""
_EXAMPLES = (
    *("30s", "sessions-4096", "background-20", "addresses-2"),
    *("tcp-sessions-4096", "tcp-established-300s", "tcp-transitory-60s"),
)
_APART = 32
"""From one external address to the next, so that neighbours have pools beside each other."""
TERMS: MappingABC[str, type[StrEnum]] = {
    "allocation": PortAllocation,
    "hairpin": Hairpin,
    "unsolicited": Unsolicited,
    "refresh": Refresh,
    "protocols": Protocols,
    "overflow": Overflow,
    "pooling": Pooling,
    "port_mapping": PortMapping,
    "tcp_mapping": TcpMapping,
    "tcp_filtering": TcpFiltering,
    "crossing_syn": CrossingSyn,
    "syn": Syn,
    "icmp_errors": IcmpErrors,
    "after_error": AfterError,
    "fragments": Fragments,
    "parity": Parity,
    "payload": Payload,
    "ipv6": Ipv6,
    "ipv6_filtering": Ipv6Filtering,
}
"""The fields whose flags are words, in the order in which an id has them, and the words."""
FLAGS: MappingABC[str, tuple[str, object]] = {
    str(term): (field, term) for field, terms in TERMS.items() for term in terms
}
FLAGS_IN_WORDS = ", ".join([*_EXAMPLES, *FLAGS])
"""For messages and help."""
NINE = tuple(
    f"{mapping}+{filtering}"
    for mapping in MAPPING_IDS.values()
    for filtering in FILTERING_IDS.values()
)
"""The ids of every pair of a mapping and a filtering behaviour."""


def usual_behavior(mapping: Mapping, filtering: Filtering) -> NatBehavior:
    """The NAT that an id of this pair means without flags: only EIM preserves ports."""
    keeps = mapping is Mapping.ENDPOINT_INDEPENDENT
    allocation = PortAllocation.PRESERVING if keeps else PortAllocation.RANDOM
    return NatBehavior(mapping, filtering, allocation=allocation)


def parse_behavior(text: str) -> NatBehavior:
    """The behaviour with the id `text`.

    After mapping and filtering come flags in any order, each at most once: a word of `FLAGS`, a
    lifetime such as ``30s`` or ``2m``, or one of `NUMBERS` with its number. Without them a NAT is
    `usual_behavior`: ``preserving`` for EIM and ``random`` for the others, and the first of every
    other field, which `NatBehavior` has as its default.
    Raises `UsageError`.
    """
    first, _, rest = text.partition("+")
    second, *flags = rest.split("+")
    mapping = next((term for term, short in MAPPING_IDS.items() if short == first), None)
    filtering = next((term for term, short in FILTERING_IDS.items() if short == second), None)
    if mapping is None or filtering is None:
        raise UsageError(
            f"{text!r} is no NAT behaviour: give {'|'.join(MAPPING_IDS.values())}, a plus, and"
            f" {'|'.join(FILTERING_IDS.values())}"
        )
    usual = usual_behavior(mapping, filtering)
    chosen: dict[str, Any] = {}
    field: str
    value: object
    for flag in flags:
        if flag[:1].isdigit():
            field, value = "lifetime", _whole_seconds(flag)
        elif flag in FLAGS:
            field, value = FLAGS[flag]
        elif (found := _numbered(flag)) is not None:
            field, value = found
        else:
            raise UsageError(f"{text!r}: unknown flag {flag!r}: choose from {FLAGS_IN_WORDS}")
        if field in chosen:
            raise UsageError(f"{text!r} says its {field} twice")
        chosen[field] = value
    return replace(usual, **chosen)


def _whole_seconds(text: str) -> int:
    seconds = parse_duration(text, most=999_999)
    if seconds != int(seconds):
        raise UsageError(f"{text!r} is no lifetime: give whole seconds, as 30s")
    return int(seconds)


def _numbered(flag: str) -> tuple[str, int] | None:
    """The field and the number of a flag such as ``sessions-4096``; None if it is no such flag."""
    words, _, end = flag.rpartition("-")
    name = words.replace("-", "_")
    number = None if "_" in flag else NUMBERS.get(name)
    if number is None or not (end.isascii() and end[:1].isdecimal()):
        return None
    if number.is_duration:
        value = _whole_seconds(end)
    elif end.isdecimal():
        value = int(end)
    else:
        return None
    if not number.takes(value) or (end[0] == "0" and not number.is_duration):
        raise UsageError(f"{flag!r}: give {words}- and {number.words}")
    return name, value


def pool(behavior: NatBehavior, address: str) -> tuple[str, ...]:
    """The external addresses of a NAT whose first one is `address`, which is the first."""
    first = ip_address(address)
    return tuple(str(first + _APART * place) for place in range(behavior.addresses))
