"""One mapping of the model NAT, and the part of a remote side on which a mapping or a filter depends."""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.wire.behavior import Filtering, Mapping
from nat_traversal.wire.endpoint import Endpoint

Key = tuple[str, int]
_INDEPENDENT = (Mapping.ENDPOINT_INDEPENDENT, Filtering.ENDPOINT_INDEPENDENT)
_BY_ADDRESS = (Mapping.ADDRESS_DEPENDENT, Filtering.ADDRESS_DEPENDENT)


@dataclass(slots=True)
class HeldMapping:
    """An internal endpoint and its external address and port, with the remote sides that are let in."""

    internal: Endpoint
    address: str
    port: int
    used: float
    """When its time began anew, or it was made."""
    permitted: dict[Key, float] = field(default_factory=dict)


def touch(mapping: HeldMapping, key: Key, now: float, refreshes: bool) -> None:
    """Let the filter in for `key`, and begin the times anew where that `refreshes` them."""
    if refreshes:
        mapping.used = mapping.permitted[key] = now
    else:
        mapping.permitted.setdefault(key, mapping.used)


def key_of(axis: Mapping | Filtering, remote: Endpoint) -> Key:
    """The part of `remote` on which `axis` depends, the rest zeroed."""
    if axis in _INDEPENDENT:
        return ("", 0)
    return (remote.address, 0 if axis in _BY_ADDRESS else remote.port)
