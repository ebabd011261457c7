"""The vocabulary of NAT behaviour: RFC 4787's two axes, and the common names as presets over them."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

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


class Unsolicited(StrEnum):
    """What a NAT does with a packet from outside that its filter does not let in."""

    DROP = "drop"
    """Silence, as RFC 4787 expects."""

    ORDER_SENSITIVE = "order-sensitive"
    """Stock Linux masquerading without an input drop rule: the router takes the packet as its own,
    and the inside host's later packet on the same 5-tuple leaves from another port
    (`docs/lab.md`, "The order-sensitive NAT")."""


@dataclass(frozen=True, slots=True)
class NatBehavior:
    """One NAT, as a value."""

    mapping: Mapping
    filtering: Filtering
    unsolicited: Unsolicited = Unsolicited.DROP

    def __str__(self) -> str:
        text = f"{_abbreviation(self.mapping, 'M')}+{_abbreviation(self.filtering, 'F')}"
        return text if self.unsolicited is Unsolicited.DROP else f"{text}+{self.unsolicited}"


def _abbreviation(axis: Mapping | Filtering, letter: str) -> str:
    prefix = {
        "endpoint-independent": "EI",
        "address-dependent": "AD",
        "address-and-port-dependent": "APD",
    }[axis.value]
    return prefix + letter


@dataclass(frozen=True, slots=True)
class Preset:
    """A name that people use for a NAT. `behavior` is None where there is no NAT: a public host."""

    name: str
    behavior: NatBehavior | None
    summary: str


_EI, _AD, _APD = Filtering
_PRESETS = (
    Preset("none", None, "a public host: no translation, no filter"),
    Preset(
        "full-cone",
        NatBehavior(Mapping.ENDPOINT_INDEPENDENT, _EI),
        "one port for all destinations, open to everyone once it has sent (RFC 3489)",
    ),
    Preset(
        "restricted-cone",
        NatBehavior(Mapping.ENDPOINT_INDEPENDENT, _AD),
        "one port for all destinations, open to addresses it has sent to (RFC 3489)",
    ),
    Preset(
        "port-restricted-cone",
        NatBehavior(Mapping.ENDPOINT_INDEPENDENT, _APD),
        "one port for all destinations, open to endpoints it has sent to (RFC 3489)",
    ),
    Preset(
        "symmetric",
        NatBehavior(Mapping.ADDRESS_AND_PORT_DEPENDENT, _APD),
        "a new random port for every destination, open to that destination (RFC 3489)",
    ),
    Preset(
        "linux-masquerade",
        NatBehavior(Mapping.ENDPOINT_INDEPENDENT, _APD, Unsolicited.ORDER_SENSITIVE),
        "stock Linux MASQUERADE whose WAN answers unsolicited packets: the order of HELLOs decides",
    ),
)
PRESETS: MappingABC[str, Preset] = MappingProxyType({preset.name: preset for preset in _PRESETS})
"""Every preset by name, in the order in which tables show them."""


def preset(name: str) -> Preset:
    """The preset called `name`. Raises `UsageError` that lists the names there are."""
    try:
        return PRESETS[name]
    except KeyError:
        raise UsageError(f"unknown NAT {name!r}: choose from {', '.join(PRESETS)}") from None
