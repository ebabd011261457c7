"""The verdict from what was heard, where a network in one piece does not lead: odd NATs and odd servers."""

from __future__ import annotations

import pytest

from nat_traversal.check.judge import verdict
from nat_traversal.check.questions import Heard, Known
from nat_traversal.check.verdict import Pooling
from nat_traversal.wire.behavior import Hairpin, Mapping, PortAllocation
from nat_traversal.wire.endpoint import Endpoint

SERVER, OTHER = Endpoint("192.0.2.2", 6545), Endpoint("192.0.2.3", 6546)
INSIDE = Endpoint("10.0.1.2", 40_000)


def heard(port: int, source: Endpoint = SERVER, address: str = "203.0.113.2") -> Heard:
    return Heard("mapping", source, 1.0, 0.05, Endpoint(address, port), OTHER)


def known(*ports: int) -> Known:
    """The three mapping tests saw these ports."""
    found = Known(SERVER, inside=INSIDE.address, sockets={"mapping": INSIDE})
    for number, port in enumerate(ports, 1):
        found.heard[f"mapping-{number}"] = heard(port)
    return found


@pytest.mark.parametrize(
    ("ports", "mapping"),
    [
        ((1, 1, 1), Mapping.ENDPOINT_INDEPENDENT),
        ((1, 2, 2), Mapping.ADDRESS_DEPENDENT),
        ((1, 2, 3), Mapping.ADDRESS_AND_PORT_DEPENDENT),
        ((1, 1, 2), Mapping.ADDRESS_AND_PORT_DEPENDENT),  # by port alone: no term says that
    ],
)
def test_mapping_is_told_from_three_endpoints(ports: tuple[int, ...], mapping: Mapping) -> None:
    assert verdict(known(*ports)).mapping is mapping


def test_a_server_that_answers_change_requests_from_where_it_was_asked_tells_no_filter() -> None:
    """Servers of RFC 3489 with one address did so."""
    found = known(1, 1, 1)
    for name in ("filtering-1", "filtering-2", "filtering-3"):
        found.heard[name] = heard(1)
    told = verdict(found)
    assert told.filtering is None
    assert told.not_told["filtering"] == "the server ignores CHANGE-REQUEST"


def test_a_server_that_refuses_change_requests_tells_no_filter() -> None:
    found = known(1, 1, 1)
    found.heard["filtering-1"] = heard(1)
    found.heard["filtering-2"] = Heard("filtering", SERVER, 1.0, 0.05, error=420)
    assert "error 420" in verdict(found).not_told["filtering"]


@pytest.mark.parametrize(
    ("external", "allocation"),
    [
        ([5000, 5001, 5003, 5004, 5027], PortAllocation.SEQUENTIAL),
        ([65_534, 65_535, 1024, 1025, 1026], PortAllocation.SEQUENTIAL),
        ([5000, 5100, 5200, 5300, 5400], PortAllocation.BLOCK_PER_HOST),
        ([5004, 5003, 5002, 5001, 5000], PortAllocation.BLOCK_PER_HOST),
        ([5000, 15_000, 25_000, 35_000, 45_000], PortAllocation.RANDOM),
        ([101, 102, 103, 9_999, 60_000], PortAllocation.PRESERVING),
        ([5000, 5001, 5002], None),
    ],
)
def test_allocation_is_told_from_fresh_ports_in_their_order(
    external: list[int], allocation: PortAllocation | None
) -> None:
    found = known(1, 1, 1)
    for number, port in enumerate(external, 1):
        found.sockets[f"port-{number}"] = Endpoint("10.0.1.2", 100 + number)
        found.heard[f"port-{number}"] = heard(port)
    told = verdict(found)
    assert told.allocation is allocation
    assert (allocation is None) == ("allocation" in told.not_told)


def test_several_external_addresses_are_arbitrary_pooling() -> None:
    found = known(1, 1, 1)
    assert verdict(found).pooling is Pooling.PAIRED
    found.heard["port-1"] = heard(9, address="203.0.113.9")
    assert verdict(found).pooling is Pooling.ARBITRARY


@pytest.mark.parametrize(
    ("source", "hairpin"),
    [
        (None, Hairpin.NONE),
        (Endpoint("203.0.113.2", 7), Hairpin.EXTERNAL_SOURCE),
        (INSIDE, Hairpin.INTERNAL_SOURCE),
    ],
)
def test_hairpin_is_told_by_the_source(source: Endpoint | None, hairpin: Hairpin) -> None:
    found = known(1, 1, 1)
    found.heard["hairpin-1"] = None
    found.heard["hairpin-2"] = None if source is None else Heard("port-1", source, 1.0, 0.0)
    assert verdict(found).hairpin is hairpin


def test_a_server_without_response_port_tells_no_lifetime() -> None:
    found = known(1, 1, 1)
    found.lifetime = 60.0
    found.heard["life-5-again"] = Heard("life", SERVER, 1.0, 0.05, error=420)
    assert "RESPONSE-PORT" in verdict(found).not_told["lifetime"]
