"""What a host tells of itself, and what of it the server hands on."""

from __future__ import annotations

import pytest

from nat_traversal.server.member import Member
from nat_traversal.wire.candidates import Candidate
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_offer


@pytest.mark.parametrize(
    ("address", "goes_on"),
    [
        ("10.0.0.7", True),
        ("2001:db8::7", True),
        ("fd00::7", True),
        ("198.51.100.7", False),
        ("127.0.0.1", False),
        ("169.254.0.7", False),
        ("::", False),
        ("::1", False),
        ("ff02::1", False),
        ("fe80::7%eth0", False),
        ("::ffff:10.0.0.7", False),
        ("::ffff:198.51.100.7", False),
    ],
)
def test_host_addresses_go_on_where_a_host_can_be_there(address: str, goes_on: bool) -> None:
    member = Member("host_a", 1, 1, 0.0, an_offer("a1"), hosts=None)
    endpoint = Endpoint(address, 5300)
    member.told_hosts(1, (Candidate("srflx", endpoint, validated=True),))
    assert member.hosts == ((Candidate("host", endpoint),) if goes_on else ())
