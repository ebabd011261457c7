"""Two hosts that connect to each other by TCP, on the model: what decides, and who comes first."""

from __future__ import annotations

import pytest

from natlab.oracle.tcp import tcp_opens


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
