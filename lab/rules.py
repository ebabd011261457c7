"""NAT behaviour as Linux firewall rules. Pure: text in, text out.

Linux keeps the port of an inside host unless it is taken, so SNAT alone is an endpoint-independent
mapping, and `--random-fully` makes it address and port-dependent. Conntrack alone is address and
port-dependent filtering. The wider filters are sets of the internal endpoints that have sent
(`hash:ip,port`), or of internal endpoints and the addresses they sent to (`hash:ip,port,ip`): set
entries are made by the inside host's packets, so that an endpoint is closed until it has sent, and
one endpoint's packets open nothing for another. `docs/lab.md` has the reasons and measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.behavior import Filtering, Mapping, NatBehavior, Preset, Unsolicited
from nat_traversal.errors import UsageError

LIFETIME = 120
"""Seconds that a mapping and its filter live after a packet: the least that RFC 4787 REQ-5 allows."""
SENT_SET = "sent"


@dataclass(frozen=True, slots=True)
class RouterPorts:
    """A NAT's two interfaces, its external address, and the one inside host."""

    lan: str
    wan: str
    wan_address: str
    lan_host: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What makes a plain Linux router the NAT it is named for.

    `ipset` and `iptables` are the input of ``ipset restore`` and ``iptables-restore``, empty if there
    is nothing to load. Load them in this order; then set `sysctls`, of which some exist only once
    connection tracking is in use.
    """

    ipset: str
    iptables: str
    sysctls: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        parts = []
        if self.ipset:
            parts.append(f"# ipset restore\n{self.ipset}")
        if self.iptables:
            parts.append(f"# iptables-restore\n{self.iptables}")
        settings = "".join(f"{name} = {value}\n" for name, value in self.sysctls)
        parts.append(f"# sysctl -p\n{settings}")
        return "\n".join(parts)


def rules_for(preset: Preset, router: RouterPorts, *, lifetime: int = LIFETIME) -> RuleSet:
    """The rules under which `router` behaves as `preset` says, towards both UDP and the rest.

    `lifetime` is how long mappings and filters outlive their last packet, in whole seconds, from 1.
    Raises `UsageError` for a lifetime below 1, or a behaviour that these rules cannot make.
    """
    if lifetime < 1:
        raise UsageError(f"a NAT mapping cannot live {lifetime} seconds: give 1 or more")
    behavior = preset.behavior
    if behavior is None:
        return RuleSet(ipset="", iptables="", sysctls=(("net.ipv4.ip_forward", 1),))
    return RuleSet(
        ipset=_sets(behavior, lifetime),
        iptables=_table("filter", _filter(behavior, router))
        + _table("nat", _nat(behavior, router)),
        sysctls=(
            ("net.ipv4.ip_forward", 1),
            ("net.netfilter.nf_conntrack_udp_timeout", lifetime),
            ("net.netfilter.nf_conntrack_udp_timeout_stream", lifetime),
        ),
    )


_SET_TYPES = {
    Filtering.ENDPOINT_INDEPENDENT: "hash:ip,port",
    Filtering.ADDRESS_DEPENDENT: "hash:ip,port,ip",
}


def _sets(behavior: NatBehavior, lifetime: int) -> str:
    kind = _SET_TYPES.get(behavior.filtering)
    return f"create {SENT_SET} {kind} timeout {lifetime}\n" if kind else ""


def _filter(behavior: NatBehavior, router: RouterPorts) -> list[str]:
    inbound = f"FORWARD -i {router.wan}"
    rules = []
    if behavior.unsolicited is Unsolicited.DROP:
        # Without it the router books a stranger's tuple for itself (the order-sensitive NAT).
        rules.append(f"INPUT -i {router.wan} -j DROP")
    if behavior.filtering in _SET_TYPES:
        # In FORWARD an outbound packet still has its internal source, an inbound one has its
        # internal destination again: the set is keyed by the internal endpoint on both ways.
        remote = (
            ["", ""] if behavior.filtering is Filtering.ENDPOINT_INDEPENDENT else [",dst", ",src"]
        )
        rules.append(
            f"FORWARD -o {router.wan} -p udp -j SET --add-set {SENT_SET} src,src{remote[0]} --exist"
        )
        rules.append(f"{inbound} -p udp -m set --match-set {SENT_SET} dst,dst{remote[1]} -j ACCEPT")
    # RELATED: ICMP errors about the inside host's own packets (RFC 4787 REQ-10, RFC 5508 REQ-4).
    rules.append(f"{inbound} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
    rules.append(f"{inbound} -j DROP")
    return rules


def _nat(behavior: NatBehavior, router: RouterPorts) -> list[str]:
    if behavior.unsolicited is Unsolicited.ORDER_SENSITIVE:
        if behavior != NatBehavior(
            Mapping.ENDPOINT_INDEPENDENT,
            Filtering.ADDRESS_AND_PORT_DEPENDENT,
            Unsolicited.ORDER_SENSITIVE,
        ):
            raise UsageError(f"no rules make {behavior}: order-sensitive goes with EIM+APDF only")
        return [f"POSTROUTING -o {router.wan} -j MASQUERADE"]

    snat = f"POSTROUTING -o {router.wan} -j SNAT --to-source {router.wan_address}"
    if behavior.mapping is Mapping.ENDPOINT_INDEPENDENT:
        rules = [snat]
        if behavior.filtering in _SET_TYPES:
            rules.append(
                f"PREROUTING -i {router.wan} -p udp -j DNAT --to-destination {router.lan_host}"
            )
        return rules
    if (
        behavior.mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT
        and behavior.filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT
    ):
        return [f"{snat} --random-fully"]
    raise UsageError(f"no rules make {behavior}: choose EIM with any filtering, or APDM+APDF")


_HOOKS = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}


def _table(name: str, rules: list[str]) -> str:
    chains = "".join(f":{chain} ACCEPT [0:0]\n" for chain in _HOOKS[name])
    return f"*{name}\n{chains}" + "".join(f"-A {rule}\n" for rule in rules) + "COMMIT\n"
