"""NAT behaviour as Linux firewall rules. Pure: text in, text out.

One nftables table makes every NAT but the order-sensitive one. Its maps are the NAT's mapping table,
learnt from what the kernel chose:

- `mapped` has the external port of an internal endpoint, and of as much of the destination as the
  mapping depends on;
- `owner_address` and `owner_port` have the internal endpoint of an external port;
- `sent` and `permitted` have the remote endpoints and addresses to which that port has sent.

Their timeouts are the mapping's lifetime. Connection tracking only translates; it remembers a flow for
a second. `linux-masquerade` is `iptables` with MASQUERADE. `docs/lab/how-it-works.md` has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation, Refresh
from natlab.behavior import NatBehavior, Protocols, Unsolicited, parse_behavior
from natlab.nat.ports import port_rules
from natlab.presets import Preset

TABLE = "nat_lab"
_FORWARD = ("net.ipv4.ip_forward", 1)
_TRACKED = 1
"""Seconds that connection tracking remembers a UDP flow where the maps are the memory."""
_TRIES = 8
"""Random ports that are tried before a packet is dropped for want of a free one."""
_NEW_MAPPING = 1
"""The mark of a packet whose port was not read off the mapping table."""
_ZONE_OF_THE_WAY = "jhash ip saddr . udp sport . udp dport mod 65535 seed 0x1 offset 1"


@dataclass(frozen=True, slots=True)
class RouterPorts:
    """A NAT's two interfaces, its external address, and an inside host."""

    lan: str
    wan: str
    wan_address: str
    lan_host: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules that make a plain Linux router the NAT it is named for.

    `nft` and `iptables` are the input of ``nft -f -`` and ``iptables-restore``, empty if there is
    nothing to load. Each replaces at once what it loaded before, and `nft` forgets every mapping.
    Then set `sysctls`, of which some exist only once connection tracking is in use.
    """

    nft: str
    iptables: str
    sysctls: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        parts = []
        if self.nft:
            parts.append(f"# nft -f -\n{self.nft}")
        if self.iptables:
            parts.append(f"# iptables-restore\n{self.iptables}")
        settings = "".join(f"{name} = {value}\n" for name, value in self.sysctls)
        parts.append(f"# sysctl -p\n{settings}")
        return "\n".join(parts)


def rules_for(preset: Preset, router: RouterPorts) -> RuleSet:
    """The rules under which `router` behaves as `preset` says, towards both UDP and the rest.

    Raises `UsageError` for a behaviour that these rules cannot make faithfully, with the reason.
    """
    behavior = preset.behavior
    if behavior is None:
        return RuleSet(nft="", iptables="", sysctls=(_FORWARD,))
    if behavior.unsolicited is Unsolicited.ORDER_SENSITIVE:
        return _masquerade(behavior, router)
    _refuse_the_unfaithful(behavior)
    if behavior.blocks_udp:
        chains = [_blocked(behavior.protocols, router)]
    else:
        chains = [*_Table(behavior, router).parts()]
    body = "\n".join(f"\t{line}" for part in chains for line in part)
    return RuleSet(
        # Deleting takes a table that exists; this makes one if there is none.
        nft=f"table ip {TABLE} {{}}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n{body}\n}}\n",
        iptables="",
        sysctls=(
            _FORWARD,
            ("net.netfilter.nf_conntrack_udp_timeout", _TRACKED),
            ("net.netfilter.nf_conntrack_udp_timeout_stream", _TRACKED),
        ),
    )


def _refuse_the_unfaithful(behavior: NatBehavior) -> None:
    independent = behavior.mapping is Mapping.ENDPOINT_INDEPENDENT
    opens = independent or behavior.filtering is Filtering.ENDPOINT_INDEPENDENT
    if behavior.hairpin is Hairpin.EXTERNAL_SOURCE and not opens:
        raise UsageError(
            f"no rules make {behavior}: the port that one host knows of another is a mapping for a"
            " third party and open to that alone, so hairpin-external-source goes with EIM or EIF"
        )
    keeps = behavior.allocation is PortAllocation.PRESERVING
    if behavior.refresh is Refresh.ABSOLUTE and not (independent and keeps):
        raise UsageError(
            f"no rules make {behavior}: connection tracking keeps the port of a flow that never"
            " pauses, so absolute goes with EIM and preserving only"
        )
    if behavior.refresh is Refresh.BOTH and _DEPTH[behavior.filtering] < _DEPTH[behavior.mapping]:
        raise UsageError(
            f"no rules make {behavior}: a stranger's packet does not tell which of several mappings"
            " it refreshes, so inbound-refresh needs a filter no wider than the mapping"
        )


_DEPTH: dict[Mapping | Filtering, int] = {
    **{term: depth for depth, term in enumerate(Mapping)},
    **{term: depth for depth, term in enumerate(Filtering)},
}
"""How much of the remote endpoint counts: nothing, its address, or its port as well."""


@dataclass(frozen=True, slots=True)
class _Table:
    """The parts of the table, each as its lines. Chains say in which hook they sit."""

    behavior: NatBehavior
    router: RouterPorts

    def parts(self) -> Iterator[list[str]]:
        yield from self._memory()
        yield from (self._inbound(), self._admit(), _STRANGER, self._refuse())
        yield from (self._destination(), self._source(), self._translate())
        yield _chain("choose", *port_rules(self.behavior.allocation))
        yield from (self._learn(), self._note(), self._forward(), self._input())
        if self._hairpins:
            # Both ends of a hairpinned flow are on one link, which a router would tell the sender.
            hook = "type filter hook output priority filter;"
            yield _chain("output", hook, "icmp type redirect drop")

    @property
    def _hairpins(self) -> bool:
        return self.behavior.hairpin is not Hairpin.NONE

    @property
    def _refreshes_both(self) -> bool:
        return self.behavior.refresh is Refresh.BOTH

    @property
    def _verb(self) -> str:
        return "add" if self.behavior.refresh is Refresh.ABSOLUTE else "update"

    @property
    def _refused(self) -> str:
        rejects = self.behavior.unsolicited is Unsolicited.REJECT
        return "reject with icmp port-unreachable" if rejects else "drop"

    def _remote(self, *parts: str) -> str:
        """` . ` and as many of `parts` (address, port) as the mapping depends on."""
        return "".join(f" . {part}" for part in parts[: _DEPTH[self.behavior.mapping]])

    def _memory(self) -> Iterator[list[str]]:
        remote = self._remote("ip daddr", "udp dport")
        # A set beside a map has the same keys: before Linux 6.5 a map cannot be asked whether it has one.
        for kind, name, of in (
            ("map", "mapped", f"ip saddr . udp sport{remote} : udp sport"),
            ("map", "owner_address", "udp dport : ip daddr"),
            ("map", "owner_port", "udp dport : udp dport"),
            ("set", "owned", "udp dport"),
            ("set", "sent", "udp dport . ip saddr . udp sport"),
            ("set", "permitted", "udp dport . ip saddr"),
        ) + ((("set", "alive", f"ip saddr . udp sport{remote}"),) if self._refreshes_both else ()):
            options = f"flags dynamic,timeout; timeout {self.behavior.lifetime}s; size 65535;"
            yield [f"{kind} {name} {{", f"\ttypeof {of}", *_indented(options), "}"]

    def _inbound(self) -> list[str]:
        # Before connection tracking, so that what is refused leaves no trace.
        hook = "type filter hook prerouting priority raw;"
        rules = [f'iifname "{self.router.wan}" meta l4proto udp goto admit']
        if self.behavior.hairpin is Hairpin.EXTERNAL_SOURCE:
            # Each way is tracked apart, so that an answer is a flow of its own and leaves from its
            # own mapping: connection tracking would send it from the port that was sent to. By the
            # port sent to as well: under ADM two ports of one host are sent to from one mapping.
            hairpin = f'iifname "{self.router.lan}" ip daddr {self.router.wan_address}'
            rules.append(f"{hairpin} meta l4proto udp ct zone set {_ZONE_OF_THE_WAY}")
        return _chain("inbound", hook, *rules)

    def _admit(self) -> list[str]:
        refresh, refresh_permitted = "", ""
        if self._refreshes_both:
            # An element that exists keeps its value: only its time begins anew.
            refresh = (
                "update @owned { udp dport } update @owner_address { udp dport : 0.0.0.0 }"
                " update @owner_port { udp dport : 0 }"
            )
            refresh_permitted = f"{refresh} update @permitted {{ udp dport . ip saddr }} "
            refresh += " update @sent { udp dport . ip saddr . udp sport } "
        exact = f"udp dport . ip saddr . udp sport @sent {refresh}accept"
        match self.behavior.filtering:
            case Filtering.ENDPOINT_INDEPENDENT:
                wider = [f"{refresh.partition(' update @sent')[0]} goto stranger".strip()]
            case Filtering.ADDRESS_DEPENDENT:
                wider = [f"udp dport . ip saddr @permitted {refresh_permitted}goto stranger"]
            case Filtering.ADDRESS_AND_PORT_DEPENDENT:
                wider = []
        return _chain(
            "admit",
            f"ip daddr != {self.router.wan_address} goto refuse",
            "udp dport != @owned goto refuse",
            exact,
            *wider,
            "goto refuse",
        )

    def _refuse(self) -> list[str]:
        return _chain("refuse", self._refused)

    def _destination(self) -> list[str]:
        inside = "dnat ip to udp dport map @owner_address : udp dport map @owner_port"
        rules = [f'iifname "{self.router.wan}" meta l4proto udp {inside}']
        if self._hairpins:
            hairpin = f'iifname "{self.router.lan}" ip daddr {self.router.wan_address}'
            rules.append(f"{hairpin} meta l4proto udp {inside}")
        return _chain("destination", "type nat hook prerouting priority dstnat;", *rules)

    def _source(self) -> list[str]:
        rules = [f'oifname "{self.router.wan}" meta l4proto udp goto translate']
        if self.behavior.hairpin is Hairpin.EXTERNAL_SOURCE:
            rules.append(f"{self._through_the_lan} meta l4proto udp goto translate")
        rules.append(f'oifname "{self.router.wan}" snat ip to {self.router.wan_address}')
        return _chain("source", "type nat hook postrouting priority srcnat;", *rules)

    @property
    def _through_the_lan(self) -> str:
        return f'iifname "{self.router.lan}" oifname "{self.router.lan}"'

    def _translate(self) -> list[str]:
        snat = f"meta l4proto udp snat ip to {self.router.wan_address}"
        remote = self._remote("ct original ip daddr", "ct original proto-dst")
        again = ["udp sport @owned jump choose"] * (_TRIES - 1)
        match self.behavior.allocation:
            case PortAllocation.PRESERVING:
                chosen = [f"udp sport != @owned {snat}", "jump choose", *again]
            case PortAllocation.SEQUENTIAL:
                chosen = ["jump choose"]
            case PortAllocation.RANDOM | PortAllocation.BLOCK_PER_HOST:
                chosen = ["jump choose", *again]
        # The port is first written into the packet, where it can be looked up; then it is the NAT's.
        return _chain(
            "translate",
            f"{snat} : ip saddr . udp sport{remote} map @mapped",
            f"meta mark set {_NEW_MAPPING}",
            *chosen,
            f"{snat} : udp sport",
        )

    def _learn(self) -> list[str]:
        rules = [f'oifname "{self.router.wan}" meta l4proto udp goto note']
        if self.behavior.hairpin is Hairpin.EXTERNAL_SOURCE:
            # The receiver's filter: is it open to the external endpoint of the sender?
            hairpin = f"{self._through_the_lan} meta l4proto udp"
            rules.append(f"{hairpin} jump note")
            port = f"{hairpin} ct direction original ct original proto-dst"
            match self.behavior.filtering:
                case Filtering.ENDPOINT_INDEPENDENT:
                    pass
                case Filtering.ADDRESS_DEPENDENT:
                    rules.append(f"{port} . ip saddr != @permitted drop")
                case Filtering.ADDRESS_AND_PORT_DEPENDENT:
                    rules.append(f"{port} . ip saddr . udp sport != @sent drop")
        # After the source NAT, where the kernel's choice can be read off the packet.
        return _chain("learn", "type filter hook postrouting priority srcnat + 200;", *rules)

    def _note(self) -> list[str]:
        udp = "meta l4proto udp ct direction"
        # No port is shared: should the kernel have chosen one that is owned, the packet is lost, and
        # the next finds another.
        rules = [f"meta mark {_NEW_MAPPING} udp sport @owned drop"]
        for direction in ("original", "reply"):
            address, port = f"ct {direction} ip", f"ct {direction} proto"
            inside = f"{address} saddr . {port}-src"
            remote = self._remote(f"{address} daddr", f"{port}-dst")
            to = (f"{address} daddr", f"{port}-dst")
            alive = (("alive", f"{inside}{remote}"),) if self._refreshes_both else ()
            for name, element in (
                *alive,
                ("mapped", f"{inside}{remote} : udp sport"),
                ("owned", "udp sport"),
                ("owner_address", f"udp sport : {address} saddr"),
                ("owner_port", f"udp sport : {port}-src"),
                ("sent", f"udp sport . {to[0]} . {to[1]}"),
                ("permitted", f"udp sport . {to[0]}"),
            ):
                rules.append(f"{udp} {direction} {self._verb} @{name} {{ {element} }}")
        return _chain("note", *rules)

    def _forward(self) -> list[str]:
        wan = f'iifname "{self.router.wan}"'
        rules = [f"{wan} meta l4proto udp accept"]
        if self._refreshes_both:
            key = f"ip daddr . udp dport{self._remote('ip saddr', 'udp sport')}"
            rules.insert(
                0, f"{wan} {key} @alive update @alive {{ {key} }} update @mapped {{ {key} : 0 }}"
            )
        return _chain(
            "forward",
            "type filter hook forward priority filter;",
            *rules,
            *_inbound_of_the_rest(self.router),
        )

    def _input(self) -> list[str]:
        # Silence: else the router would answer, or book a stranger's tuple for itself.
        return _chain(
            "input",
            "type filter hook input priority filter;",
            f'iifname "{self.router.wan}" drop',
            f"ip daddr {self.router.wan_address} meta l4proto udp drop",
        )


def _chain(name: str, *rules: str) -> list[str]:
    return [f"chain {name} {{", *_indented(*rules), "}"]


def _indented(*lines: str) -> list[str]:
    return [f"\t{line}" for line in lines]


# A stranger that a wide filter lets in must leave no trace in connection tracking: else what the
# inside host sends to it would leave from the port it came to, whatever the mapping says.
_STRANGER = _chain(
    "stranger",
    "notrack ip daddr set udp dport map @owner_address udp dport set udp dport map @owner_port",
)


def _inbound_of_the_rest(router: RouterPorts) -> Iterator[str]:
    # Related: ICMP errors about the inside host's own packets (RFC 4787 REQ-10, RFC 5508 REQ-4).
    yield f'iifname "{router.wan}" ct state established,related accept'
    yield f'iifname "{router.wan}" drop'
    # Untranslatable, so it would leave with an inside address.
    yield f'oifname "{router.wan}" ct state invalid drop'


def _blocked(protocols: Protocols, router: RouterPorts) -> list[str]:
    """No UDP, or nothing but TCP; and the rest as behind any NAT."""
    blocked = "udp" if protocols is Protocols.NO_UDP else "!= tcp"
    return [
        *_chain(
            "forward",
            "type filter hook forward priority filter;",
            f"meta l4proto {blocked} drop",
            *_inbound_of_the_rest(router),
        ),
        *_chain("input", "type filter hook input priority filter;", f'iifname "{router.wan}" drop'),
        *_chain(
            "source",
            "type nat hook postrouting priority srcnat;",
            f'oifname "{router.wan}" snat ip to {router.wan_address}',
        ),
    ]


_STOCK = parse_behavior("EIM+APDF+order-sensitive+inbound-refresh")


def _masquerade(behavior: NatBehavior, router: RouterPorts) -> RuleSet:
    """Stock Linux: MASQUERADE, an input chain that lets everything in, conntrack as the filter."""
    lifetime = behavior.lifetime
    if replace(behavior, lifetime=_STOCK.lifetime) != _STOCK:
        raise UsageError(
            f"no rules make {behavior}: order-sensitive is stock Linux, {_STOCK} with a lifetime"
        )
    inbound = f"-A FORWARD -i {router.wan}"
    return RuleSet(
        nft="",
        iptables=(
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
            f"{inbound} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n"
            f"{inbound} -j DROP\nCOMMIT\n"
            "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
            f":POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o {router.wan} -j MASQUERADE\nCOMMIT\n"
        ),
        sysctls=(
            _FORWARD,
            ("net.netfilter.nf_conntrack_udp_timeout", lifetime),
            ("net.netfilter.nf_conntrack_udp_timeout_stream", lifetime),
        ),
    )
