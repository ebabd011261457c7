"""Two hosts that have IPv6 alone, each behind a router that filters it and may translate it, on the model. Pure.

A router is a model NAT with its own behaviour: EIM where a host keeps its ports outside. An address in another
prefix is what RFC 6296 makes of it, word by word; this shares no code with the rules.
"""

from __future__ import annotations

import random
from ipaddress import IPv6Address

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import Filtering, Mapping, PortAllocation
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior
from natlab.oracle.methods.ordered_hello import NAME, ROUNDS, ModelHost, run_round
from natlab.oracle.model import ModelNat
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import Prediction, Step
from natlab.presets import preset
from natlab.terms import Ipv6, Ipv6Filtering

SERVER = Endpoint("2001:db8:5::2", 6545)
_LETTERS = {"host_a": "a", "host_b": "b"}
_FILTERS = {
    Ipv6Filtering.ENDPOINT_INDEPENDENT: Filtering.ENDPOINT_INDEPENDENT,
    Ipv6Filtering.ADDRESS_DEPENDENT: Filtering.ADDRESS_DEPENDENT,
    Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT: Filtering.ADDRESS_AND_PORT_DEPENDENT,
}


def predict_ipv6(nat_a: str, nat_b: str) -> Prediction:
    """The contract between host_a and host_b, which reach the server over IPv6, as `dual_stack` has them.

    Raises `UsageError` for a name that is no preset.
    """
    hosts = {name: _host(name, nat) for name, nat in zip(_LETTERS, (nat_a, nat_b), strict=True)}
    steps: list[Step] = []
    for round_ in ROUNDS:
        first, second = _LETTERS if round_ % 2 else (*_LETTERS,)[::-1]
        if run_round(round_, hosts[first], hosts[second], steps):
            return Prediction(NAME, Outcome.CONNECTED, round_, tuple(steps))
    return Prediction(NAME, Outcome.FAILED, None, tuple(steps))


def outer_address(address: str, inside: str, outside: str) -> str:
    """RFC 6296 section 3.4: between two prefixes of 48 bits, given by any address in each.

    The fourth word takes the difference of both prefixes' sums, so that the address has the sum that it had.
    """
    own, site, other = _words(address), _words(inside)[:3], _words(outside)[:3]
    changed = own[3]
    for word in (*site, *(0xFFFF - each for each in other)):
        changed += word
        changed = (changed & 0xFFFF) + (changed >> 16)
    words = [*other, 0 if changed == 0xFFFF else changed, *own[4:]]
    return str(IPv6Address(b"".join(word.to_bytes(2, "big") for word in words)))


def _words(address: str) -> list[int]:
    octets = IPv6Address(address).packed
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, 16, 2)]


def _host(name: str, nat: str) -> ModelHost:
    letter, behavior = _LETTERS[name], preset(nat).behavior
    ipv6 = behavior.ipv6 if behavior else Ipv6.FIREWALL
    if ipv6 is Ipv6.NAT64:
        raise UsageError(
            f"{nat}: it translates for hosts that reach IPv4 servers: use the topology nat64"
        )
    filtering = behavior.ipv6_filtering if behavior else Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT
    own = f"2001:db8:{letter}:1::2" if ipv6 is Ipv6.FIREWALL else f"fd00:{letter}:1::2"
    shown = {
        Ipv6.FIREWALL: own,
        Ipv6.NPTV6: outer_address(own, own, f"2001:db8:{letter}::"),
    }.get(ipv6, f"2001:db8:{letter}::2")
    rng = random.Random(0)  # noqa: S311 - model ports, not secrets
    return ModelHost(name, ModelNat(ipv6_side(ipv6, filtering), shown, rng), own, server=SERVER)


def ipv6_side(ipv6: Ipv6, filtering: Ipv6Filtering) -> NatBehavior:
    """The NAT that does to a single host, at one address, what such a router does."""
    fresh = ipv6 is Ipv6.NAT66_FRESH
    return NatBehavior(
        Mapping.ADDRESS_AND_PORT_DEPENDENT if fresh else Mapping.ENDPOINT_INDEPENDENT,
        _FILTERS[filtering],
        allocation=PortAllocation.RANDOM if fresh else PortAllocation.PRESERVING,
    )
