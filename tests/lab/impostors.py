"""NATs that are not what they are called, as people write them: for what ought to notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from natlab.sandbox.netns import Command, run_together

if TYPE_CHECKING:
    from natlab.network.network import Network

SNAT = "-A POSTROUTING -o nat_a-wan -j SNAT --to-source 203.0.113.2"
DNAT = "-A PREROUTING -i nat_a-wan -p udp -j DNAT --to-destination 10.0.1.2\n"
DROP_INPUT = "-A INPUT -i nat_a-wan -j DROP\n"


def impostor(*, filter_rules: str = "", nat_rules: str) -> str:
    """Connection tracking lets answers in, after what `filter_rules` say."""
    return (
        f"*filter\n{filter_rules}-A FORWARD -i nat_a-wan -m conntrack --ctstate ESTABLISHED,RELATED"
        " -j ACCEPT\n-A FORWARD -i nat_a-wan -j DROP\nCOMMIT\n"
        f"*nat\n{nat_rules}COMMIT\n"
    )


def replace_nat_a(network: Network, iptables: str) -> None:
    """Give nat_a a second address, 203.0.113.9, and these rules instead of its own."""
    pid = network.pid("nat_a")
    address = ("ip", "address", "add", "203.0.113.9/25", "dev", "nat_a-wan")
    run_together([Command(("nft", "flush", "ruleset"), "", pid), Command(address, "", pid)])
    run_together([Command(("iptables-restore",), iptables, pid)])
