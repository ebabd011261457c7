"""Questions to routers that change nothing, and which answers count."""

from __future__ import annotations

import pytest

from nat_traversal.wire.port_mapping import MappingProtocol, is_answered, question

PCP, NAT_PMP, UPNP = MappingProtocol


def test_pcp_is_asked_by_an_announce_from_the_hosts_own_address() -> None:
    """RFC 6887 sections 7.1 and 14.1: version 2, opcode 0, lifetime 0, the address as IPv4-mapped."""
    asked = question(PCP, "10.0.1.2")
    assert asked == bytes([2, 0]) + bytes(6) + bytes(10) + b"\xff\xff" + bytes([10, 0, 1, 2])
    assert question(PCP, "2001:db8::1")[8:] == bytes.fromhex("20010db8" + "00" * 11 + "01")


def test_nat_pmp_is_asked_for_the_external_address_and_for_no_mapping() -> None:
    """RFC 6886 section 3.2."""
    assert question(NAT_PMP, "10.0.1.2") == b"\0\0"


def test_upnp_is_a_search_for_gateways() -> None:
    asked = question(UPNP, "10.0.1.2")
    assert asked.startswith(b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n")
    assert b"\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n" in asked
    assert asked.endswith(b"\r\n\r\n")


FOUND = b"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"


@pytest.mark.parametrize(
    ("protocol", "answer", "counts"),
    [
        (PCP, bytes([2, 0x80, 0, 0]) + bytes(20), True),
        (PCP, bytes([0, 0x80, 0, 1]) + bytes(20), False),  # NAT-PMP's "unsupported version"
        (PCP, bytes([2, 0x80]), False),
        (NAT_PMP, bytes([0, 0x80, 0, 0]) + bytes(8), True),
        (NAT_PMP, bytes([0, 0x80, 0, 1]) + bytes(8), False),
        (NAT_PMP, bytes([2, 0x80, 0, 1]) + bytes(20), False),  # PCP's
        (NAT_PMP, b"", False),
        (UPNP, FOUND, True),
        (UPNP, FOUND.replace(b"200 OK", b"404 Not Found"), False),
        (UPNP, FOUND.replace(b"InternetGatewayDevice", b"MediaServer"), False),
        (UPNP, b"\xff" * 9, False),
    ],
)
def test_only_a_success_of_the_protocol_itself_counts(
    protocol: MappingProtocol, answer: bytes, *, counts: bool
) -> None:
    assert is_answered(protocol, answer) is counts
