"""Which addresses are handed out, and the causes that a verdict names."""

from __future__ import annotations

import pytest

from nat_traversal.server.addresses import no_path, obstacle
from nat_traversal.server.member import Member
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate
from tests.unit.counterpart import an_offer

HELPS = "a port forwarding or a more open NAT"


def member(host_id: str, address: str, via: str = "192.0.2.2") -> Member:
    """A host that the server sees at `address`, and that reached the server at `via`."""
    made = Member(host_id, 1, 1, 0.0, an_offer(host_id), 0, via=via)
    made.announced(1, 1, Candidate("srflx", Endpoint(address, 40_000)))
    return made


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        (member("a", "203.0.113.2"), member("b", "198.51.100.2")),
        (member("a", "127.0.0.1", "127.0.0.1"), member("b", "127.0.0.1", "127.0.0.1")),
        (member("a", "127.0.0.1", ""), member("b", "127.0.0.1", "")),
        (member("a", "::1", "::1"), member("b", "::1", "::1")),
        (member("a", "10.0.0.1", "10.0.0.2"), member("b", "10.0.0.3", "10.0.0.2")),
    ],
    ids=["public", "one host", "untold", "one host, IPv6", "one network"],
)
def test_hosts_that_may_reach_each_other_meet_no_obstacle(host: Member, peer: Member) -> None:
    assert obstacle(host, peer) is None
    assert obstacle(peer, host) is None


def test_a_client_on_the_servers_own_host_is_told_the_address_that_others_use() -> None:
    vps = member("vps", "127.0.0.1", "127.0.0.1")
    host = member("host_a", "203.0.113.2", "192.0.2.2")
    assert obstacle(vps, host) == (
        "vps reached the server over loopback, so host_a cannot reach vps at 127.0.0.1: start vps "
        "with --server 192.0.2.2, as other hosts have it"
    )
    assert obstacle(host, vps) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_for_a_host_that_came_from_elsewhere_is_a_proxy(address: str) -> None:
    problem = obstacle(member("a", address), member("b", address))
    assert problem is not None
    assert problem.startswith(
        f"the server sees a at {address}, though a reached it at 192.0.2.2: a proxy or a port"
    )


@pytest.mark.parametrize("address", ["169.254.1.2", "fe80::1"])
def test_a_link_local_address_means_nothing_to_others(address: str) -> None:
    problem = obstacle(member("a", address), member("b", "203.0.113.2"))
    assert problem is not None
    assert f"at the link-local address {address}, which means nothing to b" in problem


@pytest.mark.parametrize(
    ("first", "second", "heard", "words"),
    [
        (
            "203.0.113.2",
            "198.51.100.2",
            "",
            "their NATs allow no direct path without guessing ports",
        ),
        (
            "203.0.113.2",
            "198.51.100.2",
            "ab",
            "their NATs allow no direct path without guessing ports",
        ),
        ("203.0.113.2", "198.51.100.2", "b", "HELLOs of a reached b, but none of b came to a"),
        ("203.0.113.2", "198.51.100.2", "a", "HELLOs of b reached a, but none of a came to b"),
        ("203.0.113.2", "203.0.113.2", "", "sees both at 203.0.113.2. They are behind one NAT"),
        ("172.17.0.1", "172.17.0.1", "", "(no hairpinning), or a proxy or a port forwarding"),
        ("10.0.0.5", "198.51.100.2", "", "sees a at the private address 10.0.0.5, where b"),
        ("203.0.113.2", "192.168.1.7", "", "sees b at the private address 192.168.1.7, where a"),
        ("fd00::5", "2001:db8::1", "", "sees a at the private address fd00::5, where b"),
    ],
)
def test_a_verdict_names_the_cause_that_fits(
    first: str, second: str, heard: str, words: str
) -> None:
    text = no_path(member("a", first), member("b", second), frozenset(heard))
    assert words in text
    assert (HELPS in text) == ("guessing" in words or "HELLOs" in words)


def test_hosts_that_came_by_different_ip_versions_cannot_meet() -> None:
    over_4, over_6 = member("a", "203.0.113.2"), member("b", "2001:db8::2")
    for host, peer in ((over_4, over_6), (over_6, over_4)):
        said = obstacle(host, peer)
        assert said is not None
        assert "give both sides a --server address of the same one" in said
