"""NAT behaviour as iptables and ipset rules, as people write them. Pure: text in, text out.

Connection tracking is the mapping table here, and keeps ports. Sets are the filters: `eif` has the
internal endpoints that have sent, `adf` those and the remote addresses that they have sent to. An
element lives as long as a mapping does, and outbound packets alone refresh it.

ipset has no maps: a set cannot give the internal endpoint that belongs to an external port. So an
external port is the internal one, and belongs to the inside host that sent from it first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import Filtering, Mapping
from natlab.behavior import NatBehavior, parse_behavior
from natlab.nat import asked, tcp
from natlab.nat.ruleset import EVERY_ERROR, FORWARD, RouterPorts, RuleSet

_STOCK = parse_behavior("EIM+APDF+order-sensitive+inbound-refresh")
_MADE = tuple(map(parse_behavior, ("EIM+EIF", "EIM+ADF", "EIM+APDF", "APDM+APDF")))
_NAMES = "none, full-cone, restricted-cone, port-restricted-cone, symmetric, linux-masquerade"


def chains_for(behavior: NatBehavior, router: RouterPorts) -> RuleSet:
    """The sets and chains under which `router` behaves as `behavior` says.

    Raises `UsageError` for a behaviour that they cannot make faithfully, with the reason.
    """
    if replace(behavior, lifetime=_STOCK.lifetime) == _STOCK:
        return masquerade(behavior, router)
    plain = replace(
        behavior,
        lifetime=_MADE[0].lifetime,
        tcp_established=_MADE[0].tcp_established,
        tcp_transitory=_MADE[0].tcp_transitory,
    )
    if plain not in _MADE:
        raise UsageError(
            f"iptables makes {_NAMES} alone, not {behavior}: {_reason(behavior)}; nftables does"
        )
    made = _Chains(behavior, router)
    return RuleSet(
        (*_sysctls(behavior), *tcp.lifetimes(behavior)),
        ipset="".join(f"{line}\n" for line in made.sets()),
        iptables=_restorable(nat=[*made.translation()], filter=[*made.judgement()]),
    )


def _reason(behavior: NatBehavior) -> str:
    needed = NatBehavior(
        behavior.mapping,
        behavior.filtering,
        allocation=behavior.allocation,
        hairpin=behavior.hairpin,
    )
    if needed in _MADE:
        return "its rules are not written"
    return "it needs a mapping table of its own, and ipset has no maps"


def masquerade(behavior: NatBehavior, router: RouterPorts) -> RuleSet:
    """Stock Linux: MASQUERADE, an input chain that lets everything in, conntrack as the filter."""
    lifetime, port_mapping = _STOCK.lifetime, _STOCK.port_mapping
    ipv4 = replace(
        behavior,
        lifetime=lifetime,
        port_mapping=port_mapping,
        ipv6=_STOCK.ipv6,
        ipv6_filtering=_STOCK.ipv6_filtering,
    )
    if ipv4 != _STOCK:
        raise UsageError(
            f"no rules make {behavior}: order-sensitive is stock Linux, {_STOCK} with a lifetime"
        )
    inbound = f"-A FORWARD -i {router.wan}"
    is_asked = asked.is_asked(behavior)
    return RuleSet(
        _sysctls(behavior),
        nft=asked.CHAINS if is_asked else "",
        miniupnpd=asked.configuration(router) if is_asked else "",
        iptables=_restorable(
            filter=[
                f"{inbound} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
                *([f"{inbound} -m conntrack --ctstate DNAT -j ACCEPT"] if is_asked else ()),
                f"{inbound} -j DROP",
            ],
            nat=[f"-A POSTROUTING -o {router.wan} -j MASQUERADE"],
        ),
    )


def _sysctls(behavior: NatBehavior) -> tuple[tuple[str, int], ...]:
    return (
        FORWARD,
        ("net.netfilter.nf_conntrack_udp_timeout", behavior.lifetime),
        ("net.netfilter.nf_conntrack_udp_timeout_stream", behavior.lifetime),
        EVERY_ERROR,
    )


def _restorable(**tables: list[str]) -> str:
    """The input of ``iptables-restore``."""
    built_in = {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    }
    lines = []
    for name, rules in tables.items():
        heads = (f":{chain} ACCEPT [0:0]" for chain in built_in[name])
        lines += [f"*{name}", *heads, *rules, "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class _Chains:
    behavior: NatBehavior
    router: RouterPorts

    @property
    def _keeps_ports(self) -> bool:
        return self.behavior.mapping is Mapping.ENDPOINT_INDEPENDENT

    @property
    def _shared(self) -> bool:
        """Several inside hosts could send from one port."""
        return self._keeps_ports and len(self.router.hosts) > 1

    @property
    def _filter(self) -> tuple[str, str, str]:
        """The set, and what it has of an outbound and of an inbound packet."""
        if self.behavior.filtering is Filtering.ENDPOINT_INDEPENDENT:
            return "eif", "src,src", "dst,dst"
        return "adf", "src,src,dst", "dst,dst,src"

    def sets(self) -> Iterator[str]:
        lifetime = self.behavior.lifetime
        name, _, _ = self._filter
        kind = "hash:ip,port" if name == "eif" else "hash:ip,port,ip"
        yield f"create {name} {kind} timeout {lifetime}"
        if self._shared:
            for owner in ("taken", *self._owners.values()):
                yield f"create {owner} bitmap:port range 0-65535 timeout {lifetime}"

    @property
    def _owners(self) -> dict[str, str]:
        """The set of each inside host's ports."""
        return {host: f"of-{host}" for host in self.router.hosts}

    def translation(self) -> Iterator[str]:
        wan, address = self.router.wan, self.router.wan_address
        inbound, outbound = (
            f"-A PREROUTING -i {wan} -d {address} -p udp",
            f"-A POSTROUTING -o {wan}",
        )
        if self.behavior.filtering is not Filtering.ADDRESS_AND_PORT_DEPENDENT:
            # Strangers' too: the filter is behind it. Else connection tracking knows who is meant.
            if self._shared:
                for host, owner in self._owners.items():
                    yield f"{inbound} -m set --match-set {owner} dst -j DNAT --to-destination {host}"
            else:
                yield f"{inbound} -j DNAT --to-destination {self.router.lan_host}"
        if not self._keeps_ports:
            yield f"{outbound} -p udp -j MASQUERADE --random-fully"
        yield f"{outbound} -j SNAT --to-source {address}"

    def judgement(self) -> Iterator[str]:
        wan = self.router.wan
        inbound, outbound = f"-A FORWARD -i {wan}", f"-A FORWARD -o {wan}"
        name, sent, answered = self._filter
        if self._shared:
            for host, owner in self._owners.items():
                own = f"{outbound} -p udp -s {host}"
                yield (
                    f"{own} -m set --match-set taken src -m set ! --match-set {owner} src"
                    " -j REJECT --reject-with icmp-admin-prohibited"
                )
                yield f"{own} -j SET --add-set {owner} src --exist"
            yield f"{outbound} -p udp -j SET --add-set taken src --exist"
        yield f"{outbound} -p udp -j SET --add-set {name} {sent} --exist"
        let_in = f"-m set --match-set {name} {answered} -j ACCEPT"
        if self.behavior.filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT:
            let_in = f"-m conntrack --ctstate ESTABLISHED {let_in}"
        yield f"{inbound} -p udp {let_in}"
        yield f"{inbound} ! -p udp -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
        yield f"{inbound} -j DROP"
        # Silence: else the router would answer, or book a stranger's tuple for itself.
        yield f"-A INPUT -i {wan} -j DROP"
