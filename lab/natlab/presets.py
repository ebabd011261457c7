"""The names that people use for NATs: RFC 3489's cones, and NATs as met in the world. Pure."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from types import MappingProxyType

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import FILTERING_IDS, MAPPING_IDS
from natlab.behavior import FLAGS_IN_WORDS, NatBehavior, parse_behavior


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
"""NATs as met in the world, by name; `docs/lab/presets.md` has the sources."""


HOW_TO_NAME = (
    f"A NAT is one of {', '.join([*PRESETS, *REAL_WORLD])}; or an id, as EIM+ADF or"
    f" APDM+APDF+30s+reject: a mapping ({'|'.join(MAPPING_IDS.values())}), a filter"
    f" ({'|'.join(FILTERING_IDS.values())}), then any of {FLAGS_IN_WORDS}."
)
"""For the help of commands."""


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
