"""The vocabulary of NAT behaviour: RFC 4787's terms as one value, and the names people use for it.

A NAT is a `NatBehavior`. It has an id, ``MAPPING+FILTERING[+FLAG...]``, for example ``EIM+ADF`` or
``APDM+APDF+sequential+30s``; `preset` takes an id wherever it takes the name of a preset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from nat_traversal.errors import UsageError


class Mapping(StrEnum):
    """When a NAT reuses an external port for one internal endpoint (RFC 4787 section 4.1)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(StrEnum):
    """From whom a NAT lets packets in to a mapping (RFC 4787 section 5).

    Under every value an internal endpoint is closed until it has itself sent a packet.
    """

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class PortAllocation(StrEnum):
    """Which external port a new mapping gets (RFC 4787 section 4.2)."""

    PRESERVING = "preserving"
    """The internal port while no mapping has it, else a random one."""
    RANDOM = "random"
    SEQUENTIAL = "sequential"
    """The one after that of the mapping made last."""
    BLOCK_PER_HOST = "block-per-host"
    """A random one of a range that is the internal address's own (RFC 7422)."""


class Hairpin(StrEnum):
    """What comes of a packet from inside to an external endpoint of the NAT (RFC 4787 section 6)."""

    NONE = "no-hairpin"
    INTERNAL_SOURCE = "hairpin-internal-source"
    """Delivered from the sender's internal endpoint, which REQ-9 forbids and which is met."""
    EXTERNAL_SOURCE = "hairpin-external-source"
    """Delivered from the sender's external endpoint, as REQ-9 asks."""


class Unsolicited(StrEnum):
    """What a NAT does with a packet from outside that its filter does not let in."""

    DROP = "drop"
    """Silence."""

    REJECT = "reject"
    """Answered with ICMP port unreachable."""

    ORDER_SENSITIVE = "order-sensitive"
    """Stock Linux masquerading without an input drop rule: the router takes the packet as its own,
    and the inside host's later packet on the same 5-tuple leaves from another port
    (`docs/lab.md`, "The order-sensitive NAT")."""


class Refresh(StrEnum):
    """Which packets make a mapping live on (RFC 4787 section 4.3)."""

    OUTBOUND = "outbound-refresh"
    """Those from inside alone (REQ-6)."""
    BOTH = "inbound-refresh"
    """Those of both directions, which lets an outsider keep a mapping open."""
    ABSOLUTE = "absolute"
    """None: a mapping ends when its time is over."""


class Protocols(StrEnum):
    """What passes at all, in either direction."""

    ANY = "any-protocol"
    NO_UDP = "no-udp"
    """Everything but UDP."""
    TCP_ONLY = "tcp-only"
    """Neither UDP nor anything else: no ICMP either, so no ping and no path MTU discovery."""


LIFETIME = 120
"""Seconds without a refresh until a mapping ends: the least that RFC 4787 REQ-5 allows."""


@dataclass(frozen=True, slots=True)
class NatBehavior:
    """One NAT, as a value. `lifetime` is in whole seconds, from 1. Raises `UsageError` for less."""

    mapping: Mapping
    filtering: Filtering
    unsolicited: Unsolicited = Unsolicited.DROP
    allocation: PortAllocation = PortAllocation.PRESERVING
    hairpin: Hairpin = Hairpin.NONE
    refresh: Refresh = Refresh.OUTBOUND
    lifetime: int = LIFETIME
    protocols: Protocols = Protocols.ANY

    def __post_init__(self) -> None:
        if self.lifetime < 1:
            raise UsageError(f"a NAT mapping cannot live {self.lifetime} seconds: give 1 or more")

    @property
    def blocks_udp(self) -> bool:
        return self.protocols is not Protocols.ANY

    def __str__(self) -> str:
        """The id, which `parse_behavior` reads. What is usual for the mapping is left out."""
        usual = usual_behavior(self.mapping, self.filtering)
        parts = [_MAPPING_IDS[self.mapping], _FILTERING_IDS[self.filtering]]
        parts += [
            str(ours)
            for ours, theirs in (
                (self.allocation, usual.allocation),
                (self.hairpin, usual.hairpin),
                (self.unsolicited, usual.unsolicited),
                (self.refresh, usual.refresh),
                (self.protocols, usual.protocols),
            )
            if ours is not theirs
        ]
        parts += [f"{self.lifetime}s"] if self.lifetime != usual.lifetime else []
        return "+".join(parts)


_SHORT = ("EI", "AD", "APD")
_MAPPING_IDS = {term: f"{short}M" for term, short in zip(Mapping, _SHORT, strict=True)}
_FILTERING_IDS = {term: f"{short}F" for term, short in zip(Filtering, _SHORT, strict=True)}
_FLAGS: MappingABC[str, tuple[str, object]] = {
    str(term): (field, term)
    for field, terms in (
        ("allocation", PortAllocation),
        ("hairpin", Hairpin),
        ("unsolicited", Unsolicited),
        ("refresh", Refresh),
        ("protocols", Protocols),
    )
    for term in terms
}
NINE = tuple(
    f"{mapping}+{filtering}"
    for mapping in _MAPPING_IDS.values()
    for filtering in _FILTERING_IDS.values()
)
"""The ids of every pair of a mapping and a filtering behaviour."""


def usual_behavior(mapping: Mapping, filtering: Filtering) -> NatBehavior:
    """The NAT that an id of this pair means without flags: only EIM preserves ports."""
    keeps = mapping is Mapping.ENDPOINT_INDEPENDENT
    allocation = PortAllocation.PRESERVING if keeps else PortAllocation.RANDOM
    return NatBehavior(mapping, filtering, allocation=allocation)


def parse_behavior(text: str) -> NatBehavior:
    """The behaviour with the id `text`.

    After mapping and filtering come flags in any order, each at most once: a value of
    `PortAllocation`, `Hairpin`, `Unsolicited`, `Refresh` or `Protocols`, a lifetime such as ``30s``.
    Without them: ``preserving`` for EIM and ``random`` for the others, ``no-hairpin``, ``drop``,
    ``outbound-refresh``, ``any-protocol``, ``120s``. Raises `UsageError`.
    """
    first, _, rest = text.partition("+")
    second, *flags = rest.split("+")
    mapping = next((term for term, short in _MAPPING_IDS.items() if short == first), None)
    filtering = next((term for term, short in _FILTERING_IDS.items() if short == second), None)
    if mapping is None or filtering is None:
        raise UsageError(
            f"{text!r} is no NAT behaviour: give {'|'.join(_MAPPING_IDS.values())}, a plus, and"
            f" {'|'.join(_FILTERING_IDS.values())}"
        )
    usual = usual_behavior(mapping, filtering)
    chosen: dict[str, Any] = {}
    field: str
    value: object
    for flag in flags:
        seconds = re.fullmatch(r"([0-9]{1,6})s", flag)
        if seconds:
            field, value = "lifetime", int(seconds[1])
        elif flag in _FLAGS:
            field, value = _FLAGS[flag]
        else:
            raise UsageError(
                f"{text!r}: unknown flag {flag!r}: choose from 30s, {', '.join(_FLAGS)}"
            )
        if field in chosen:
            raise UsageError(f"{text!r} says its {field} twice")
        chosen[field] = value
    return replace(usual, **chosen)


@dataclass(frozen=True, slots=True)
class Preset:
    """A name that people use for a NAT. `behavior` is None where there is no NAT: a public host."""

    name: str
    behavior: NatBehavior | None
    summary: str


def _preset(name: str, behavior: str, summary: str) -> Preset:
    return Preset(name, parse_behavior(behavior), summary)


_PRESETS = (
    Preset("none", None, "a public host: no translation, no filter"),
    _preset(
        "full-cone",
        "EIM+EIF",
        "one port for all destinations, open to everyone once it has sent (RFC 3489)",
    ),
    _preset(
        "restricted-cone",
        "EIM+ADF",
        "one port for all destinations, open to addresses it has sent to (RFC 3489)",
    ),
    _preset(
        "port-restricted-cone",
        "EIM+APDF",
        "one port for all destinations, open to endpoints it has sent to (RFC 3489)",
    ),
    _preset(
        "symmetric",
        "APDM+APDF",
        "a new random port for every destination, open to that destination (RFC 3489)",
    ),
    _preset(
        "linux-masquerade",
        "EIM+APDF+order-sensitive+inbound-refresh",
        "stock Linux MASQUERADE whose WAN answers unsolicited packets: the order of HELLOs decides",
    ),
)
PRESETS: MappingABC[str, Preset] = MappingProxyType({preset.name: preset for preset in _PRESETS})
"""The classic presets by name, in the order in which tables show them."""

_REAL_WORLD = (
    _preset(
        # OpenWrt's default: input REJECT and masquerading, connection tracking (Linux: 120 s).
        "home-router",
        "EIM+APDF+reject+inbound-refresh",
        "a home router: keeps ports, filters by connection, refuses aloud, does not hairpin",
    ),
    _preset(
        # RFC 6888 REQ-1 (RFC 4787 REQ-1, 5, 6, 9) and REQ-7; RFC 7422.
        "cgnat",
        "EIM+EIF+block-per-host+hairpin-external-source",
        "a carrier's NAT after RFC 6888: a block of ports a customer, open and hairpinning",
    ),
    _preset(
        # PAN-OS: dynamic IP and port is symmetric, implied policies drop silently, UDP ends in 30 s.
        "corporate",
        "APDM+APDF+30s",
        "a corporate firewall: a random port a session, short sessions",
    ),
    _preset(
        # Richter et al., IMC 2016, cellular networks; for the filter there is no source.
        "mobile-carrier",
        "APDM+ADF+65s",
        "a mobile carrier's NAT: a random port a session, open to addresses sent to, short-lived",
    ),
    _preset(
        "udp-blocked",
        "EIM+APDF+no-udp",
        "a network that lets no UDP through: TCP and ICMP pass, translated",
    ),
    _preset(
        "tcp-only",
        "EIM+APDF+tcp-only",
        "a network that lets nothing but TCP through",
    ),
)
REAL_WORLD: MappingABC[str, Preset] = MappingProxyType({each.name: each for each in _REAL_WORLD})
"""NATs as met in the world, by name; `docs/lab.md` says after what they are made."""


def preset(name: str) -> Preset:
    """The preset called `name`, or the one that an id describes.

    Raises `UsageError` that lists the names there are, or says what is wrong with an id.
    """
    if "+" in name:
        behavior = parse_behavior(name)
        return Preset(name, behavior, "the behaviour that its id describes")
    found = PRESETS.get(name) or REAL_WORLD.get(name)
    if found is None:
        names = ", ".join([*PRESETS, *REAL_WORLD])
        raise UsageError(
            f"unknown NAT {name!r}: choose from {names}, or give a behaviour such as EIM+ADF"
        )
    return found
