"""The kernel pairs hosts with external addresses as the model says."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet

from __future__ import annotations

from natlab.behavior import parse_behavior, pool
from natlab.oracle.pooling import paired_place
from tests.lab import warm

_PLACES = 3
_NAT = f"EIM+APDF+addresses-{_PLACES}"


def _addresses() -> dict[str, str]:
    """The address that the server sees of each host."""
    from natlab.network.network import standing
    from natlab.sandbox.netns import udp_socket
    from natlab.topologies.shared_nat import SharedNat

    seen = {}
    with (
        standing(SharedNat(hosts=8, nat_a=_NAT, nat_b="none")) as network,
        udp_socket(network.pid("server"), "192.0.2.2") as server,
    ):
        server.settimeout(20)
        for number in range(1, 9):
            name = f"host_a{number}"
            with udp_socket(network.pid(name), network.address(name)) as host:
                host.sendto(b"x", server.getsockname())
                seen[network.address(name)] = server.recvfrom(8)[1][0]
    return seen


def test_each_host_has_the_address_that_the_model_gives_it() -> None:
    addresses = pool(parse_behavior(_NAT), "203.0.113.2")
    seen = warm.call(40, _addresses)
    assert seen == {host: addresses[paired_place(host, _PLACES)] for host in seen}
    assert set(seen.values()) == set(addresses)
