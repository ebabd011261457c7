"""Who a budget belongs to."""

from __future__ import annotations

import pytest

from nat_traversal.wire.source import source_of


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_whoever_has_an_address_has_one_budget(address: str, source: str) -> None:
    assert source_of(address) == source
