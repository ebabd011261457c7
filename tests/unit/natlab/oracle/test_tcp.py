"""Two hosts that connect to each other by TCP, on the model: what decides, and who comes first."""

from __future__ import annotations

import random

import pytest

from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import parse_behavior
from natlab.oracle.model import ModelNat, NoRoomError
from natlab.oracle.tcp import tcp_opens, tcp_side


@pytest.mark.parametrize(
    ("nat_a", "nat_b", "at_once", "a_first"),
    [
        ("none", "none", True, True),
        ("symmetric", "symmetric", True, True),  # of UDP alone
        ("home-router", "port-restricted-cone", True, True),
        ("port-restricted-cone", "home-router", True, False),
        ("udp-blocked", "tcp-only", True, True),
        ("linux-masquerade", "linux-masquerade", True, False),
        ("EIM+APDF+syn-drop", "EIM+APDF+reject+syn-drop", True, True),
        ("EIM+APDF+tcp-apdm", "EIM+APDF", False, False),
        ("EIM+APDF+tcp-apdm", "EIM+APDF+tcp-adf", True, True),
        ("EIM+APDF+tcp-apdm", "EIM+APDF+tcp-apdm+tcp-eif", True, True),
        ("none", "EIM+APDF+tcp-apdm", True, True),
        ("EIM+APDF+no-crossing-syn", "EIM+APDF", True, True),
        ("EIM+APDF+no-crossing-syn", "EIM+APDF+no-crossing-syn", False, False),
        ("EIM+APDF+no-crossing-syn", "EIM+APDF+reject+no-crossing-syn", False, False),
        ("EIM+APDF+no-crossing-syn", "EIM+EIF+tcp-eif+no-crossing-syn", False, True),
    ],
)
def test_a_connection_opens(nat_a: str, nat_b: str, at_once: bool, a_first: bool) -> None:
    said = [tcp_opens(nat_a, nat_b, crossing=crossing) for crossing in (True, False)]
    assert said == [at_once, a_first]


@pytest.mark.parametrize(("later", "opens"), [(1.0, True), (5.9, True), (6.1, False)])
def test_a_held_syn_is_forgotten_if_the_other_host_connects_in_time(
    later: float, opens: bool
) -> None:
    nats = "EIM+APDF", "EIM+APDF+reject+syn-hold"
    assert tcp_opens(*nats, crossing=False, later=later) is opens
    assert tcp_opens(*nats, crossing=True)


def test_a_nat_has_so_many_tcp_connections_from_inside() -> None:
    behavior = parse_behavior("EIM+APDF+tcp-sessions-64")
    nat = ModelNat(tcp_side(behavior), "203.0.113.2", random.Random(0))
    inside = Endpoint("10.0.1.2", 40_000)
    for port in range(64):
        nat.outbound(inside, Endpoint("192.0.2.2", 1000 + port))
    with pytest.raises(NoRoomError):
        nat.outbound(inside, Endpoint("192.0.2.2", 2000))
    nat.outbound(inside, Endpoint("192.0.2.2", 2000), behavior.tcp_transitory + 1.0)
