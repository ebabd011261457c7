"""A mapping by PCP or NAT-PMP on a clock of its own: asked for, renewed, given back; a router that lies is bounded."""

from __future__ import annotations

import struct

import pytest

from nat_traversal.mapping import nat_pmp, pcp
from nat_traversal.mapping.answers import ASKED_LIFETIME, Denied, Granted
from nat_traversal.mapping.lease import Lease, LeaseState
from nat_traversal.wire.port_mapping import MappingProtocol

INSIDE, PORT, NONCE, WISH = "10.0.1.2", 40_000, bytes(range(12)), 50_000


def by_pcp(
    request: bytes, *, port: int = WISH, lifetime: int | None = None, result: int = 0
) -> bytes:
    """A router's answer to that request."""
    asked = int.from_bytes(request[4:8])
    granted = asked if lifetime is None else lifetime
    head = struct.pack("!BBBBII12x", 2, 0x81, 0, result, granted, 1)
    return head + request[24:42] + port.to_bytes(2) + bytes(16)


def by_pmp(request: bytes, *, port: int = WISH, lifetime: int = 600, result: int = 0) -> bytes:
    return (
        struct.pack("!BBHI", 0, 0x81, result, 1) + request[4:6] + struct.pack("!HI", port, lifetime)
    )


def a_lease() -> tuple[Lease, bytes]:
    lease = Lease(INSIDE, PORT, nonce=NONCE, suggested=WISH)
    (request,) = lease.start(0.0)
    return lease, request


def test_a_request_has_the_octets_of_the_rfc() -> None:
    _, request = a_lease()
    own = bytes(10) + b"\xff\xff" + bytes([10, 0, 1, 2])
    head = bytes([2, 1, 0, 0]) + (600).to_bytes(4) + own
    rest = NONCE + bytes([17, 0, 0, 0]) + PORT.to_bytes(2) + WISH.to_bytes(2)
    assert request == head + rest + bytes(10) + b"\xff\xff" + bytes(4)
    assert nat_pmp.request(PORT, suggested=WISH, lifetime=600) == (
        b"\0\1\0\0" + PORT.to_bytes(2) + WISH.to_bytes(2) + (600).to_bytes(4)
    )


def test_a_mapping_is_renewed_at_half_its_time_and_given_back() -> None:
    lease, request = a_lease()
    assert lease.arrived(by_pcp(request), 0.1) == []
    assert (lease.external, lease.deadline) == (WISH, 0.1 + ASKED_LIFETIME / 2)
    (renewal,) = lease.due(0.1 + ASKED_LIFETIME / 2)
    assert renewal == request
    assert lease.external == WISH, "it stands meanwhile"
    lease.arrived(by_pcp(renewal, port=WISH + 1), 301.0)
    assert lease.external == WISH + 1
    (farewell,) = lease.release()
    assert pcp.answer(by_pcp(farewell, port=0), PORT, NONCE) == Granted(0, 0)
    assert str(lease.state) == str(LeaseState.GIVEN_BACK)
    assert not lease.release()


@pytest.mark.parametrize("silent", [True, False])
def test_a_router_that_speaks_nat_pmp_alone_is_asked_by_that(silent: bool) -> None:
    lease, request = a_lease()
    if silent:
        assert lease.due(0.25) == [request, nat_pmp.request(PORT, suggested=WISH, lifetime=600)]
        asked = nat_pmp.request(PORT, suggested=WISH, lifetime=600)
    else:
        (asked,) = lease.arrived(bytes([0, 0x81, 0, 1]) + bytes(4), 0.1)
    lease.arrived(by_pmp(asked), 0.3)
    assert (lease.external, lease.protocol) == (WISH, MappingProtocol.NAT_PMP)


def test_silence_ends_it() -> None:
    lease, _ = a_lease()
    sent, now = 1, 0.0
    while lease.deadline is not None:
        now = lease.deadline
        sent += len(lease.due(now))
    assert (lease.state, sent, now) == (LeaseState.NONE, 5, 1.75)
    assert "answers neither" in lease.problem


@pytest.mark.parametrize("granted", [1, 0xFFFF_FFFF])
def test_a_router_is_asked_again_after_ten_seconds_at_the_earliest_whatever_it_grants(
    granted: int,
) -> None:
    lease, request = a_lease()
    lease.arrived(by_pcp(request, lifetime=granted), 0.0)
    assert lease.deadline is not None
    assert 10.0 <= lease.deadline <= ASKED_LIFETIME / 2
    assert lease.arrived(by_pcp(request, port=WISH + 1), 0.1) == [], "what nobody asked for"
    assert lease.external == WISH


def test_an_answer_to_another_request_counts_as_none() -> None:
    _, request = a_lease()
    right = by_pcp(request)
    assert pcp.answer(right, PORT, NONCE) == Granted(WISH, 600)
    assert pcp.answer(right, PORT, bytes(12)) is None
    assert pcp.answer(right, PORT + 1, NONCE) is None
    assert nat_pmp.answer(by_pmp(nat_pmp.request(1, suggested=2, lifetime=3)), PORT) is None
    assert pcp.answer(by_pcp(request, port=0), PORT, NONCE) == Denied("port 0")
    assert pcp.answer(by_pcp(request, result=2), PORT, NONCE) == Denied("PCP result 2")
    for data in (right, by_pmp(nat_pmp.request(PORT, suggested=2, lifetime=3))):
        for length in range(len(data)):
            assert not isinstance(pcp.answer(data[:length], PORT, NONCE), Granted)
            assert not isinstance(nat_pmp.answer(data[:length], PORT), Granted)
