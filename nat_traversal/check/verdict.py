"""The verdict of a check, as one value: what the NAT does, and why something is not told. Pure."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nat_traversal.wire.behavior import (
    FILTERING_IDS,
    MAPPING_IDS,
    Filtering,
    Hairpin,
    Mapping,
    PortAllocation,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.nat_facts import NatFacts


class Udp(StrEnum):
    """Whether UDP reaches the server, and its answers this host."""

    PASSES = "passes"
    NO_UDP = "no-udp"
    """The server's host takes TCP connections and answers pings, and nothing comes over UDP."""
    TCP_ONLY = "tcp-only"
    """It takes TCP connections, and nothing comes over UDP or ICMP."""
    BLOCKED = "blocked"
    """It takes TCP connections, and nothing comes over UDP. Whether pings pass is not known."""


class Pooling(StrEnum):
    """Which external address a new mapping gets, if there are several (RFC 4787 section 4.1)."""

    PAIRED = "paired"
    """One for all mappings of this host."""
    ARBITRARY = "arbitrary"


class Ipv6(StrEnum):
    """How the server is reached over IPv6."""

    UNTRANSLATED = "untranslated"
    TRANSLATED = "translated"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings of a check. None: it is not told, and `not_told` has the reason under the field's name."""

    server: Endpoint | None
    udp: Udp | None = None
    round_trip: float | None = None
    """Seconds to the server."""
    nat: bool | None = None
    """The server sees another address or port than this host's own."""
    addresses: tuple[str, ...] = ()
    """External ones that were seen."""
    mapping: Mapping | None = None
    filtering: Filtering | None = None
    """Of the NAT, or of a firewall where there is none."""
    order_sensitive: bool | None = None
    """A stranger's packet that comes first moves this host's later one to another port."""
    allocation: PortAllocation | None = None
    ports: tuple[int, ...] = ()
    """External ones of fresh sockets, in their order."""
    pooling: Pooling | None = None
    hairpin: Hairpin | None = None
    lifetime: tuple[float, float | None] | None = None
    """Seconds: an age at which a mapping lived, and one at which it was dead; None if none was."""
    mtu: int | None = None
    """Octets of the longest IP packet that reached the server."""
    ipv6: Ipv6 | None = None
    port_mapping: MappingABC[str, bool] = field(default_factory=dict)
    """By protocol: whether the router answered."""
    not_told: MappingABC[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str | None:
        """The NAT as one id, ``EIM+APDF+random``: mapping and filtering, then unusual flags. None if it lacks one."""
        if not self.nat or self.mapping is None or self.filtering is None:
            return None
        keeps = self.mapping is Mapping.ENDPOINT_INDEPENDENT
        usual = PortAllocation.PRESERVING if keeps else PortAllocation.RANDOM
        parts = [MAPPING_IDS[self.mapping], FILTERING_IDS[self.filtering]]
        parts += [str(self.allocation)] if self.allocation not in (None, usual) else []
        parts += [str(self.hairpin)] if self.hairpin not in (None, Hairpin.NONE) else []
        parts += ["order-sensitive"] if self.order_sensitive else []
        return "+".join(parts)

    @property
    def facts(self) -> NatFacts:
        """The part that another host needs, to know which rung opens a path."""
        return NatFacts(self.mapping, self.filtering, self.allocation, self.order_sensitive)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `json`."""
        return {
            "server": None if self.server is None else str(self.server),
            "udp": self.udp,
            "round_trip": self.round_trip,
            "nat": self.nat,
            "id": self.id,
            "addresses": list(self.addresses),
            "mapping": self.mapping,
            "filtering": self.filtering,
            "order_sensitive": self.order_sensitive,
            "allocation": self.allocation,
            "ports": list(self.ports),
            "pooling": self.pooling,
            "hairpin": self.hairpin,
            "lifetime": None if self.lifetime is None else list(self.lifetime),
            "mtu": self.mtu,
            "ipv6": self.ipv6,
            "port_mapping": dict(self.port_mapping),
            "not_told": dict(self.not_told),
        }
