"""The words of NAT behaviour: RFC 4787's terms, and their short ids. Pure."""

from __future__ import annotations

from enum import StrEnum


class Mapping(StrEnum):
    """When a NAT reuses an external port for one internal endpoint (RFC 4787 section 4.1)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(StrEnum):
    """Which remote endpoints may send to a mapping (RFC 4787 section 5).

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
    """How a NAT treats a packet from inside to one of its external endpoints (RFC 4787 section 6)."""

    NONE = "no-hairpin"
    INTERNAL_SOURCE = "hairpin-internal-source"
    """Delivered from the sender's internal endpoint, which REQ-9 forbids and which is met."""
    EXTERNAL_SOURCE = "hairpin-external-source"
    """Delivered from the sender's external endpoint, as REQ-9 asks."""


class Refresh(StrEnum):
    """Which packets make a mapping live on (RFC 4787 section 4.3)."""

    OUTBOUND = "outbound-refresh"
    """Those from inside alone (REQ-6)."""
    BOTH = "inbound-refresh"
    """Those of both directions, which lets an outsider keep a mapping open."""
    ABSOLUTE = "absolute"
    """None: a mapping ends when its time is over."""


_SHORT = ("EI", "AD", "APD")
MAPPING_IDS = {term: f"{short}M" for term, short in zip(Mapping, _SHORT, strict=True)}
"""``EIM``, ``ADM``, ``APDM``."""
FILTERING_IDS = {term: f"{short}F" for term, short in zip(Filtering, _SHORT, strict=True)}
"""``EIF``, ``ADF``, ``APDF``."""
