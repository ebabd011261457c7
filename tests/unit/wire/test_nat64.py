"""RFC 6052's own examples, RFC 7050's way to the prefix, and the addresses to which none may lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.wire.addresses import octets_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.nat64 import (
    LENGTHS,
    MOST_PREFIXES,
    Nat64,
    Prefix,
    may_be_translated,
    prefixes_in,
    way_to,
)

EXAMPLES = {
    ("2001:db8::", 32): "2001:db8:c000:221::",
    ("2001:db8:100::", 40): "2001:db8:1c0:2:21::",
    ("2001:db8:122::", 48): "2001:db8:122:c000:2:2100::",
    ("2001:db8:122:300::", 56): "2001:db8:122:3c0:0:221::",
    ("2001:db8:122:344::", 64): "2001:db8:122:344:c0:2:2100:0",
    ("2001:db8:122:344::", 96): "2001:db8:122:344::c000:221",
    ("64:ff9b::", 96): "64:ff9b::c000:221",
}
"""192.0.2.33 by RFC 6052 section 2.4, tables 1 and 2; with zeros as RFC 5952 has them."""
LAB, WELL_KNOWN = Prefix(octets_of("2001:db8:64::"), 96), Prefix(octets_of("64:ff9b::"), 96)
SERVER = Endpoint("2001:db8:64::c000:202", 6545)
WAY = Nat64(LAB, SERVER)
GLOBAL = Nat64(WELL_KNOWN, Endpoint("64:ff9b::808:808", 6545))


@pytest.mark.parametrize(("prefix", "address"), EXAMPLES.items(), ids=str)
def test_the_examples_of_rfc_6052(prefix: tuple[str, int], address: str) -> None:
    made = Prefix(octets_of(prefix[0]), prefix[1])
    address = Endpoint(address, 0).address
    assert made.embed("192.0.2.33") == address
    assert made.extract(address) == "192.0.2.33"
    assert str(made) == f"{prefix[0]}/{prefix[1]}"


@pytest.mark.parametrize(
    "address",
    [
        "2001:db8:122:344:100:0:c000:221",  # the octet that has to be 0
        "2001:db8:122:344:0:1:c000:221",  # another prefix
        "192.0.2.33",
    ],
)
def test_what_no_prefix_makes_is_no_ipv4_address(address: str) -> None:
    assert Prefix(octets_of("2001:db8:122:344::"), 96).extract(address) is None


@pytest.mark.parametrize(
    "address", ["2001:db8:c000:221::1", "2001:db8:c000:221:100::", "2001:db9:c000:221::"]
)
def test_a_suffix_that_is_not_0_is_no_ipv4_address(address: str) -> None:
    assert Prefix(octets_of("2001:db8::"), 32).extract(address) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from(LENGTHS), st.binary(min_size=12, max_size=12))
def test_both_ways_are_one_bijection_and_discovery_finds_the_prefix(
    number: int, length: int, random: bytes
) -> None:
    octets = bytearray(b"\x20" + random[1 : length // 8] + bytes(16 - length // 8))
    octets[8] = 0
    prefix = Prefix(bytes(octets), length)
    address = ".".join(map(str, number.to_bytes(4, "big")))
    assert prefix.extract(prefix.embed(address)) == address
    assert prefix in prefixes_in([prefix.embed("192.0.0.170"), prefix.embed("192.0.0.171")])


@pytest.mark.parametrize("length", LENGTHS)
def test_the_prefix_is_found_in_the_addresses_of_the_name(length: int) -> None:
    begin = octets_of("2001:db8:122:344::")[: length // 8]
    prefix = Prefix(begin + bytes(16 - len(begin)), length)
    assert prefixes_in([prefix.embed("192.0.0.171"), prefix.embed("192.0.0.170")]) == (prefix,)
    assert prefixes_in([prefix.embed("192.0.0.170")]) == (prefix,)


@pytest.mark.parametrize(
    "address",
    [
        "2001:db8:64::c000:a9",  # 192.0.0.169
        "2001:db8:64::c000:221",
        "::ffff:192.0.0.170",  # IPv4 in other clothes
        "::192.0.0.170",
        "fe80::c000:aa",
        "ff02::c000:aa",
        "2001:db8::ff00:0:c000:aa",  # an octet that has to be 0
        "192.0.0.170",
    ],
)
def test_an_answer_that_no_dns64_gives_is_no_prefix(address: str) -> None:
    assert prefixes_in([address]) == ()


def test_no_answer_makes_many_prefixes() -> None:
    answers = [f"2001:db8:{number}::c000:aa" for number in range(1, 100)]
    assert len(prefixes_in(answers)) == MOST_PREFIXES


@pytest.mark.parametrize(("prefix", "address"), EXAMPLES.items(), ids=str)
def test_a_host_whose_ipv6_address_has_its_ipv4_one_may_be_translated(
    prefix: tuple[str, int], address: str
) -> None:
    del prefix
    assert may_be_translated(["198.51.100.2", "192.0.2.33", address])
    assert not may_be_translated(["192.0.2.34", address])
    assert not may_be_translated([address])
    assert not may_be_translated(["192.0.2.33"])


def test_the_way_is_by_the_prefix_that_has_the_server() -> None:
    other = Prefix(octets_of("2001:db8:65::"), 96)
    assert way_to(SERVER, [other, LAB]) == WAY
    assert way_to(Endpoint("2001:db8:5::2", 6545), [other, LAB]) is None
    assert way_to(Endpoint("192.0.2.2", 6545), [LAB]) is None
    assert way_to(SERVER, []) is None


def test_an_ipv4_host_is_sent_to_by_the_prefix_and_known_by_its_own_address() -> None:
    peer, there = Endpoint("198.51.100.2", 7), Endpoint("2001:db8:64::c633:6402", 7)
    assert (WAY.outside(peer), WAY.inside(there)) == (there, peer)


def test_the_server_keeps_the_form_in_which_it_was_found() -> None:
    assert WAY.inside(SERVER) == SERVER
    assert WAY.outside(SERVER) == SERVER
    assert WAY.outside(Endpoint("192.0.2.2", 6545)) == Endpoint("192.0.2.2", 6545)
    beside = Endpoint("192.0.2.2", 6546)
    assert WAY.inside(WAY.outside(beside)) == beside


@pytest.mark.parametrize("address", ["2001:db8:b:1::2", "2001:db8:64:1::c633:6402", "fe80::1"])
def test_other_ipv6_hosts_stay_as_they_are(address: str) -> None:
    assert WAY.outside(Endpoint(address, 7)) == WAY.inside(Endpoint(address, 7))


SPECIAL = (
    *(
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "192.0.0.1",
        "192.0.0.7",
    ),
    *("192.0.0.170", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
)
PRIVATE = ("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1")
NOT_GLOBAL = ("192.0.2.33", "198.51.100.2", "203.0.113.2", "198.18.0.1")


def crosses(way: Nat64, address: str) -> bool:
    """Whether it is translated; both ways, or neither."""
    endpoint, there = Endpoint(address, 7), Endpoint(way.prefix.embed(address), 7)
    to, known = way.outside(endpoint), way.inside(there)
    assert (to == there) == (known == endpoint)
    assert to in (endpoint, there)
    assert known in (endpoint, there)
    return to == there


@pytest.mark.parametrize("address", [*SPECIAL, *PRIVATE])
@pytest.mark.parametrize("way", [WAY, GLOBAL], ids=["the network's", "well-known"])
def test_no_prefix_leads_to_a_special_address(way: Nat64, address: str) -> None:
    assert not crosses(way, address)


@pytest.mark.parametrize("address", NOT_GLOBAL)
def test_the_well_known_prefix_is_for_global_addresses_alone(address: str) -> None:
    assert not crosses(GLOBAL, address)
    assert crosses(WAY, address)
    assert crosses(GLOBAL, "9.9.9.9")


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_cross_where_the_server_has_one_too(address: str) -> None:
    inner = Nat64(LAB, Endpoint(LAB.embed("10.1.1.1"), 6545))
    assert crosses(inner, address)
    assert not any(crosses(inner, each) for each in SPECIAL)
