"""Load rules into a standing node, and make its kernel forget connections."""

from __future__ import annotations

import struct

from natlab.errors import NetworkError
from natlab.nat import asked
from natlab.nat.rules import TABLE, RuleSet
from natlab.network.nodes import LabNode
from natlab.sandbox import netlink
from natlab.sandbox.netns import NFT, Command, in_namespace, run_together, set_sysctl

_DELETE_ALL = (1 << 8) | 2
"""IPCTNL_MSG_CT_DELETE of NFNL_SUBSYS_CTNETLINK (linux/netfilter/nfnetlink_conntrack.h)."""
_FORWARDING = "net.ipv4.ip_forward"
_NO_NFT = f"table ip {TABLE} {{}}\ndelete table ip {TABLE}\n{asked.NO_TABLE}"
_NO_IPTABLES = "".join(f"*{table}\nCOMMIT\n" for table in ("filter", "nat"))


def load_rules(node: LabNode, rules: RuleSet) -> None:
    """Make `rules` those of `node`, as if it had just been switched on. Meanwhile it forwards nothing."""
    with in_namespace(node.pid):
        set_sysctl(_FORWARDING, 0)
    has_sets = rules.ipset or (node.rules is not None and node.rules.ipset)
    first = _NO_IPTABLES if has_sets else rules.iptables or _NO_IPTABLES
    run_together(
        [
            Command(NFT, _NO_NFT + rules.nft, node.pid),
            Command(("iptables-restore", "-w"), first, node.pid),
        ]
    )
    if has_sets:
        # No set can go that a rule names, and no rule can come that names a set that is not there.
        run_together([Command(("ipset", "restore"), f"destroy\n{rules.ipset}", node.pid)])
        if rules.iptables:
            run_together([Command(("iptables-restore", "-w"), rules.iptables, node.pid)])
    with in_namespace(node.pid):
        flush_connections()
    node.rules = rules
    node.ask_anew()
    node.apply_sysctls()  # and forwards


def flush_connections() -> None:
    """Delete every connection tracking entry of the namespace that this thread is in.

    One message without a tuple.
    """
    error = netlink.request(netlink.NETFILTER, _DELETE_ALL, struct.pack("=BBH", 0, 0, 0))
    if error:
        raise NetworkError(f"cannot clear connection tracking: error {error}")
