"""The model's word on pairs behind one NAT, behind one carrier's, and with IPv6: and the client's in the virtual world."""

from __future__ import annotations

import pytest

from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import ALL, MethodName
from natlab.oracle.neighbours import (
    behind_nat64,
    behind_one_carrier,
    behind_one_nat,
    with_ipv6,
    with_ipv6_alone,
)
from tests.sim.test_hosts import at_home

HAIRPINS = ["no-hairpin", "hairpin-external-source", "hairpin-internal-source"]


@pytest.mark.parametrize(
    ("nat", "rung"),
    [
        ("EIM+APDF", "host"),
        ("EIM+APDF+hairpin-external-source", "ordered-hello"),
        ("EIM+EIF+hairpin-internal-source", "ordered-hello"),
        ("symmetric", "host"),
        ("linux-masquerade", "host"),
        ("none", "ordered-hello"),
        ("udp-blocked", None),
    ],
)
def test_behind_one_nat(nat: str, rung: str | None) -> None:
    assert behind_one_nat(nat, ALL) == rung


def test_what_is_not_allowed_does_not_open_it() -> None:
    assert behind_one_nat("EIM+APDF", [MethodName.ORDERED_HELLO, MethodName.RELAY]) == "relay"
    assert behind_one_nat("EIM+APDF", [MethodName.ORDERED_HELLO]) is None


@pytest.mark.parametrize("hairpin", HAIRPINS)
@pytest.mark.parametrize("nat", ["EIM+EIF", "EIM+APDF", "ADM+ADF", "APDM+APDF"])
def test_the_client_takes_the_rung_that_the_model_names(nat: str, hairpin: str) -> None:
    named = behind_one_nat(f"{nat}+{hairpin}", [MethodName.ORDERED_HELLO, MethodName.HOST])
    world, a, b = at_home(f"{nat}+{hairpin}")
    world.run(6.0)
    assert [client.path.method for client in (a, b) if client.claims] == [named] * 2


@pytest.mark.parametrize(
    ("nats", "carrier", "rung"),
    [
        (("EIM+APDF", "EIM+APDF"), "EIM+APDF", "relay"),
        (("EIM+APDF", "EIM+APDF"), "EIM+EIF+hairpin-external-source", "ordered-hello"),
        (("symmetric", "EIM+APDF"), "EIM+EIF+hairpin-external-source", "relay"),
        (("EIM+APDF", "none"), "EIM+EIF+hairpin-external-source", "ordered-hello"),
        (("EIM+EIF", "EIM+EIF"), "symmetric", "relay"),
        (("EIM+EIF", "udp-blocked"), "EIM+EIF+hairpin-external-source", None),
    ],
)
def test_behind_one_carrier(nats: tuple[str, str], carrier: str, rung: str | None) -> None:
    assert behind_one_carrier(*nats, carrier, ALL) == rung


@pytest.mark.parametrize(
    ("nats", "rung"),
    [
        (("symmetric", "port-restricted-cone"), "ipv6"),
        (("symmetric", "symmetric"), "ipv6"),
        (("full-cone", "symmetric"), "ordered-hello"),
        (("udp-blocked", "none"), None),
        (("linux-masquerade", "port-restricted-cone"), "ordered-hello"),  # in round 1
        (("port-restricted-cone", "linux-masquerade"), "ipv6"),  # in round 2, in which it is first
        (
            ("port-restricted-cone", "EIM+APDF+order-sensitive+inbound-refresh+nptv6"),
            "ordered-hello",
        ),
    ],
)
def test_with_ipv6(nats: tuple[str, str], rung: str | None) -> None:
    assert with_ipv6(*nats, ALL) == rung


def test_round_2_is_the_contract_s_alone_where_the_hosts_may_not_use_ipv6() -> None:
    methods = (MethodName.ORDERED_HELLO, MethodName.RELAY)
    assert with_ipv6("port-restricted-cone", "linux-masquerade", methods) == "ordered-hello"


@pytest.mark.parametrize(
    ("nats", "rung"),
    [
        (("symmetric", "symmetric"), "ordered-hello"),  # of IPv4: its router only filters IPv6
        (("EIM+APDF+nat66-apdm", "EIM+APDF"), "relay"),
        (("EIM+APDF+nat66-apdm", "EIM+APDF+nptv6+ipv6-eif"), "ordered-hello"),
        (("udp-blocked", "none"), "ordered-hello"),
    ],
)
def test_with_ipv6_alone(nats: tuple[str, str], rung: str) -> None:
    assert with_ipv6_alone(*nats, ALL) == rung


@pytest.mark.parametrize(
    ("nats", "rung"),
    [
        (("full-cone", "symmetric"), "ordered-hello"),  # whoever comes is let in, and answered
        (("full-cone", "udp-blocked"), None),
        (
            ("restricted-cone", "full-cone"),
            "ordered-hello",
        ),  # it sends first, through the translator
        (("symmetric", "none"), "ordered-hello"),
        (("symmetric", "EIM+APDF"), "relay"),
        (("linux-masquerade", "linux-masquerade"), "relay"),
        (("udp-blocked", "none"), None),
    ],
)
def test_behind_a_nat64_a_host_meets_whom_its_nat_lets_it_meet(
    nats: tuple[str, str], rung: str | None
) -> None:
    assert behind_nat64(*nats, ALL) == rung


def test_a_nat64_translates() -> None:
    with pytest.raises(UsageError, match="nat_a has to translate"):
        behind_nat64("none", "full-cone", ALL)
