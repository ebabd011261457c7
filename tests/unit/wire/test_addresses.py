"""IP addresses by what can be reached at them."""

from __future__ import annotations

import pytest

from nat_traversal.wire.addresses import is_link_local, is_loopback, is_private, is_usable


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("203.0.113.2", True),
        ("10.0.0.1", True),
        ("127.0.0.1", True),
        ("2001:db8::1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("255.255.255.255", False),
        ("240.0.0.1", False),
        ("0.1.2.3", False),
        ("::ffff:224.0.0.1", False),
        ("::ffff:192.0.2.1", True),
    ],
)
def test_a_host_can_be_at_an_address_or_not(address: str, usable: bool) -> None:
    assert is_usable(address) is usable


def test_an_ipv4_address_in_ipv6_clothes_is_what_it_is() -> None:
    assert is_loopback("::ffff:127.0.0.1")
    assert is_private("::ffff:10.0.0.1")
    assert is_link_local("::ffff:169.254.0.1")
    assert not is_loopback("::ffff:192.0.2.1")


def test_a_name_is_no_address_of_a_link() -> None:
    assert not is_link_local("server.example")
    assert is_link_local("fe80::1%eth0")


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("10.1.2.3", True),
        ("172.31.0.1", True),
        ("172.32.0.1", False),
        ("192.168.1.1", True),
        ("100.64.0.1", True),
        ("fd00::1", True),
        ("203.0.113.2", False),
        ("198.18.0.1", False),
        ("2001:db8::1", False),
    ],
)
def test_private_networks_are_those_of_the_rfcs(address: str, private: bool) -> None:
    assert is_private(address) is private
