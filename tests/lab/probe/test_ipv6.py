"""IPv6 behind a router is what its flags say, on this machine's kernel, and a false claim is noticed."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet

from __future__ import annotations

import pytest

from natlab.probe.ipv6 import APDF, examined
from natlab.terms import Ipv6, Ipv6Filtering
from tests.lab import warm

_TIMEOUT = 40
CLAIMS = ["IPv6 source", "IPv6 checksum", "IPv6 filtering", "IPv6 unasked"]


@pytest.mark.parametrize(
    ("ipv6", "filtering"),
    [
        *((each, APDF) for each in Ipv6 if each is not Ipv6.NAT64),
        *((Ipv6.FIREWALL, each) for each in Ipv6Filtering if each is not APDF),
        (Ipv6.NPTV6, Ipv6Filtering.ENDPOINT_INDEPENDENT),
    ],
)
def test_ipv6_is_translated_and_filtered_as_the_flags_say(
    ipv6: Ipv6, filtering: Ipv6Filtering
) -> None:
    found = warm.call(_TIMEOUT, examined, f"APDM+APDF+{ipv6}+{filtering}", ipv6, filtering)
    assert [finding for finding in found if not finding.holds] == []
    assert [finding.claim for finding in found] == CLAIMS


@pytest.mark.parametrize(
    ("really", "ipv6", "filtering", "broken"),
    [
        ("nptv6", Ipv6.NAT66, APDF, CLAIMS[:2]),
        ("nat66-apdm", Ipv6.NAT66, APDF, CLAIMS[:1]),
        ("ipv6-adf", Ipv6.FIREWALL, Ipv6Filtering.ENDPOINT_INDEPENDENT, CLAIMS[2:3]),
    ],
)
def test_a_false_claim_is_noticed(
    really: str, ipv6: Ipv6, filtering: Ipv6Filtering, broken: list[str]
) -> None:
    found = warm.call(_TIMEOUT, examined, f"EIM+APDF+{really}", ipv6, filtering)
    assert [finding.claim for finding in found if not finding.holds] == broken


def _by_the_kernel() -> tuple[str, str]:
    """The source outside of a datagram that the kernel's own NPTv6 target translates, and ours."""
    from natlab.nat.ipv6 import TABLE
    from natlab.network.network import standing
    from natlab.sandbox.netns import Command, run_together, udp_socket
    from natlab.topologies.dual_stack import SERVER_IPV6, DualStack

    ours = (("nft", "delete", "table", "ip6", TABLE), "")
    rules = (
        "*mangle\n-A POSTROUTING -o nat_a-wan -s fd00:a:1::/48 -j SNPT"
        " --src-pfx fd00:a:1::/48 --dst-pfx 2001:db8:a::/48\nCOMMIT\n"
    )
    theirs = (("ip6tables-restore",), rules)
    seen = []
    with standing(DualStack(nat_a="EIM+APDF+nptv6", nat_b="none")) as network:
        router, host = network.pid("nat_a"), network.pid("host_a")
        with udp_socket(network.pid("server"), SERVER_IPV6) as remote:
            remote.settimeout(20)
            for further in ((), (ours, theirs)):
                run_together(Command(words, text, router) for words, text in further)
                with udp_socket(host, "fd00:a:1::2") as inside:
                    inside.sendto(b"x", remote.getsockname()[:2])
                seen.append(remote.recvfrom(8)[1][0])
    return seen[1], seen[0]


def test_the_kernel_s_own_target_translates_to_the_same_address() -> None:
    theirs, ours = warm.call(_TIMEOUT, _by_the_kernel)
    assert theirs == ours == "2001:db8:a:cf48::2"
