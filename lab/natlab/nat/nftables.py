"""UDP behind a NAT, as the greater part of its nftables table. Pure: text in, text out.

Its maps are the NAT's mapping table: `mapped` has the
external port of an internal endpoint (and of as much of the destination as the mapping depends on),
`owner_address` and `owner_port` the internal endpoint of an external port, `sent` and `permitted` to
whom that port has sent. Their timeouts are the mapping's lifetime. Connection tracking only does the
translation: each mapping has a zone of its own there, so that no flow outlives its mapping.
`docs/lab/how-it-works.md` has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nat_traversal.wire.behavior import Filtering, Hairpin, Refresh
from natlab.behavior import NatBehavior, Overflow, Unsolicited, pool
from natlab.nat import asked, ports, sessions
from natlab.nat.faithful import DEPTH
from natlab.nat.fields import (
    FLOW,
    QUOTED_SOURCE,
    QUOTED_SOURCE_PORT,
    QUOTED_TARGET,
    QUOTED_TARGET_PORT,
    QUOTES_UDP,
    SOURCE,
    SOURCE_PORT,
    TARGET,
    TARGET_PORT,
)
from natlab.nat.rest import (
    chain,
    choice,
    indented,
    rest_inbound,
    rest_outbound,
    to_router,
)
from natlab.nat.ruleset import RouterPorts

_FRESH_ZONE = "numgen inc mod 65535 offset 1"


def parts(behavior: NatBehavior, router: RouterPorts) -> Iterator[list[str]]:
    """The maps, sets and chains for UDP, and the chains in which the rest passes."""
    return _Table(behavior, router).parts()


@dataclass(frozen=True, slots=True)
class _Table:
    """The parts of the table, each as its lines. Chains say in which hook they sit."""

    behavior: NatBehavior
    router: RouterPorts

    def parts(self) -> Iterator[list[str]]:
        yield from self._memory()
        yield from (*self._zones(), self._inbound(), self._admit(), self._refuse())
        for name, rules in ports.chains(self.behavior.allocation, self.behavior.parity):
            yield chain(name, *rules)
        if self.behavior.sessions:
            for name, rules in sessions.chains(self.behavior, self._verb, self._refused):
                yield chain(name, *rules)
        if self._pool[1:]:
            yield from self._numbers_in_pool()
        yield from (self._destination(), self._source(), self._translate())
        yield from (
            self._learn(),
            self._note(),
            self._forward(),
            to_router(self.behavior, self.router),
        )
        if self._hairpins or self.behavior.sessions:
            yield chain("output", "type filter hook output priority filter;", *self._output())

    def _output(self) -> Iterator[str]:
        if self._hairpins:
            # Both ends of a hairpinned flow are on one link, which a router would tell the sender.
            yield "icmp type redirect drop"
        if self.behavior.sessions:
            yield f"{self._from_subscribers} jump session"

    @property
    def _pool(self) -> tuple[str, ...]:
        """The external addresses."""
        return pool(self.behavior, self.router.wan_address)

    @property
    def _own(self) -> str:
        """The external addresses, to hold an address of a packet against."""
        one, *others = self._pool
        return f"{{ {', '.join(self._pool)} }}" if others else one

    @property
    def _from_subscribers(self) -> str:
        """The match for datagrams of theirs, which the router itself sends."""
        source = f"ip saddr {self.router.subscribers}"
        return f'oifname "{self.router.wan}" meta l4proto udp {source}'

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
        return "".join(f" . {part}" for part in parts[: DEPTH[self.behavior.mapping]])

    @property
    def _lets_in_more_than_it_maps(self) -> bool:
        """A stranger may come to a mapping that is for another."""
        return DEPTH[self.behavior.filtering] < DEPTH[self.behavior.mapping]

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
            (
                "map",
                "zone_of",
                f"{SOURCE} . {SOURCE_PORT}{self._remote(TARGET, TARGET_PORT)} : ct zone",
            ),
            ("map", "zone_at", f"{TARGET_PORT} : ct zone"),
            *([("set", "alive", f"ip saddr . udp sport{remote}")] if self._refreshes_both else ()),
            *(sessions.memory() if self.behavior.sessions else ()),
            *(self._memory_of_pool() if self._pool[1:] else ()),
            *([("map", "hairpins", f"{FLOW} : ct zone")] if self._hairpins else ()),
            *([("map", "visitors", f"{FLOW} : ct zone")] if self._has_visitors else ()),
            *([("set", "callers", FLOW)] if asked.is_asked(self.behavior) else ()),
        ):
            options = f"flags dynamic,timeout; timeout {self.behavior.lifetime}s;"
            yield [f"{kind} {name} {{", f"\ttypeof {of}", *indented(options), "}"]

    def _memory_of_pool(self) -> Iterator[tuple[str, str, str]]:
        remote = self._remote("ip daddr", "udp dport")
        yield "map", "place_of", f"ip saddr . udp sport{remote} : meta mark"
        yield "set", "placed", "udp dport . ip daddr"

    @property
    def _has_visitors(self) -> bool:
        """The zone of what came in cannot always be told by what an answer to it would have."""
        return self._lets_in_more_than_it_maps or self._hairpins

    def _zones(self) -> Iterator[list[str]]:
        """Which zone of connection tracking what comes from inside is in: that of its mapping.

        A mapping made anew has another, so that flows of the old one are not found.
        """
        key = f"{SOURCE} . {SOURCE_PORT}{self._remote(TARGET, TARGET_PORT)}"
        yield chain("outbound", *self._zone("zone_of", key))
        if self._hairpins:
            # A zone for each way, so that an answer is a flow of its own and leaves from its own
            # mapping: connection tracking would send it from the port that was sent to.
            yield chain("hairpin", *self._zone("hairpins", FLOW))
        quoted = f"{QUOTED_TARGET} . {QUOTED_TARGET_PORT}"
        known = f"{quoted}{self._remote(QUOTED_SOURCE, QUOTED_SOURCE_PORT)}"
        rules = [f"ct zone set {known} map @zone_of"]
        if self._has_visitors:
            flow = f"{quoted} . {QUOTED_SOURCE} . {QUOTED_SOURCE_PORT}"
            rules.insert(0, f"ct zone set {flow} map @visitors")
        yield chain("outbound_error", *rules)

    def _zone(self, called: str, key: str) -> Iterator[str]:
        # An element that exists keeps its value, so packets at once agree on one.
        yield f"{self._verb} @{called} {{ {key} : {_FRESH_ZONE} }}"
        yield f"ct zone set {key} map @{called}"

    def _inbound(self) -> list[str]:
        # Before connection tracking, so that what is refused leaves no trace.
        hook = "type filter hook prerouting priority raw;"
        lan, wan = f'iifname "{self.router.lan}"', f'iifname "{self.router.wan}"'
        rules = [
            f"{wan} meta l4proto udp goto admit",
            f"{wan} {QUOTES_UDP} ct zone set {QUOTED_SOURCE_PORT} map @zone_at",
            f"{lan} meta l4proto udp goto outbound",
            f"{lan} {QUOTES_UDP} goto outbound_error",
        ]
        if self._hairpins:
            own = f"{lan} ip daddr {self._own} meta l4proto udp"
            rules.insert(2, f"{own} goto hairpin")
        if asked.is_asked(self.behavior):
            known = f"{FLOW} @callers update @callers {{ {FLOW} }}"
            rules.insert(2, f"{lan} meta l4proto udp {known} accept")
        return chain("inbound", hook, *rules)

    def _admit(self) -> list[str]:
        refresh, refresh_permitted, refresh_sent = "", "", ""
        if self._refreshes_both:
            # An element that exists keeps its value: only its time begins anew.
            refresh = (
                "update @owned { udp dport } update @owner_address { udp dport : 0.0.0.0 }"
                " update @owner_port { udp dport : 0 }"
                f" update @zone_at {{ {TARGET_PORT} : 0 }} "
            )
            refresh += "update @placed { udp dport . ip daddr } " if self._pool[1:] else ""
            refresh_sent = f"{refresh}update @sent {{ udp dport . ip saddr . udp sport }} "
            refresh_permitted = f"{refresh}update @permitted {{ udp dport . ip saddr }} "
        into = f"ct zone set {TARGET_PORT} map @zone_at accept"
        match self.behavior.filtering:
            case Filtering.ENDPOINT_INDEPENDENT:
                wider = [f"{refresh}{into}"]
            case Filtering.ADDRESS_DEPENDENT:
                wider = [f"udp dport . ip saddr @permitted {refresh_permitted}{into}"]
            case Filtering.ADDRESS_AND_PORT_DEPENDENT:
                wider = []
        return chain(
            "admit",
            f"ip daddr != {self._own} goto refuse",
            f"udp dport != @owned {'accept' if asked.is_asked(self.behavior) else 'goto refuse'}",
            *(["udp dport . ip daddr != @placed goto refuse"] if self._pool[1:] else ()),
            f"udp dport . ip saddr . udp sport @sent {refresh_sent}{into}",
            *wider,
            "goto refuse",
        )

    def _refuse(self) -> list[str]:
        return chain("refuse", self._refused)

    def _destination(self) -> list[str]:
        inside = "dnat ip to udp dport map @owner_address : udp dport map @owner_port"
        rules = [f'iifname "{self.router.wan}" meta l4proto udp {inside}']
        if self._hairpins:
            hairpin = f'iifname "{self.router.lan}" ip daddr {self._own}'
            if self._pool[1:]:
                hairpin += " udp dport . ip daddr @placed"
            rules.append(f"{hairpin} meta l4proto udp {inside}")
        return chain("destination", "type nat hook prerouting priority dstnat;", *rules)

    def _source(self) -> list[str]:
        rules = [f'oifname "{self.router.wan}" meta l4proto udp goto translate']
        if self.behavior.hairpin is Hairpin.EXTERNAL_SOURCE:
            rules.append(f"{self._through_the_lan} meta l4proto udp goto translate")
        rules.append(rest_outbound(self.behavior, self.router))
        return chain("source", "type nat hook postrouting priority srcnat;", *rules)

    @property
    def _through_the_lan(self) -> str:
        return f'iifname "{self.router.lan}" oifname "{self.router.lan}"'

    def _translate(self) -> list[str]:
        udp, inside = "meta l4proto udp", "ct original ip saddr . ct original proto-src"
        remote = self._remote("ct original ip daddr", "ct original proto-dst")

        def snat(key: str) -> list[str]:
            if not self._pool[1:]:
                return [f"{udp} snat ip to {self.router.wan_address} : {key} map @mapped"]
            # Old ones of nft take no address for an element with such a key: so the pool is numbered.
            return [
                f"{udp} meta mark set {key} map @place_of",
                *(
                    f"{udp} meta mark {number} snat ip to {address} : {key} map @mapped"
                    for number, address in enumerate(self._pool, 1)
                ),
            ]

        chooses = (
            [
                choice(
                    self.behavior,
                    "vmap",
                    [f"jump place_{place}" for place in range(len(self._pool))],
                )
            ]
            if self._pool[1:]
            else []
        )
        chooses += [f"{udp} add @place_of {{ {inside}{remote} : meta mark }}"] if chooses else []
        return chain(
            "translate",
            *snat(f"ip saddr . udp sport{remote}"),
            *ports.rules(self.behavior.allocation),
            *chooses,
            # The host that comes second with a packet of the same mapping takes the port of the first.
            f"{udp} add @mapped {{ {inside}{remote} : udp sport }}",
            *snat(f"{inside}{remote}"),
        )

    def _numbers_in_pool(self) -> Iterator[list[str]]:
        for place in range(self.behavior.addresses):
            yield chain(f"place_{place}", f"meta mark set {place + 1}")

    def _learn(self) -> list[str]:
        rules = ["meta l4proto udp ct zone 0 return"] if asked.is_asked(self.behavior) else []
        if self.behavior.background:
            # Their datagrams have made their mappings, and end here: so captures have the hosts' alone.
            foreign = f"{self._from_subscribers.partition(' ip ')[0]} ct original"
            foreign += f" ip saddr {self.router.subscribers}"
            rules += [f"{foreign} jump note", f"{foreign} drop"]
        rules.append(f'oifname "{self.router.wan}" meta l4proto udp goto note')
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
            flow = f"{TARGET} . {TARGET_PORT} . {SOURCE} . {SOURCE_PORT}"
            rules.append(f"{hairpin} update @visitors {{ {flow} : ct zone }}")
        # After the source NAT, where the kernel's choice can be read off the packet.
        return chain("learn", "type filter hook postrouting priority srcnat + 200;", *rules)

    def _note(self) -> list[str]:
        udp = "meta l4proto udp ct direction"
        rules = []
        for direction in ("original", "reply"):
            address, port = f"ct {direction} ip", f"ct {direction} proto"
            inside = f"{address} saddr . {port}-src"
            remote = self._remote(f"{address} daddr", f"{port}-dst")
            to = (f"{address} daddr", f"{port}-dst")
            further = [("alive", f"{inside}{remote}")] if self._refreshes_both else []
            if self._pool[1:]:
                further.append(("place_of", f"{inside}{remote} : meta mark"))
                further.append(("placed", "udp sport . ip saddr"))
            for name, element in (
                *further,
                ("mapped", f"{inside}{remote} : udp sport"),
                ("owned", "udp sport"),
                ("owner_address", f"udp sport : {address} saddr"),
                ("owner_port", f"udp sport : {port}-src"),
                ("sent", f"udp sport . {to[0]} . {to[1]}"),
                ("permitted", f"udp sport . {to[0]}"),
                ("zone_at", f"{SOURCE_PORT} : ct zone"),
            ):
                rules.append(f"{udp} {direction} {self._verb} @{name} {{ {element} }}")
        return chain("note", *rules)

    def _forward(self) -> list[str]:
        wan = f'iifname "{self.router.wan}" meta l4proto udp'
        rules = []
        if self.behavior.sessions:
            rules.append(f'oifname "{self.router.wan}" meta l4proto udp jump session')
        if self.behavior.overflow is Overflow.EVICT:
            rules.append(f"{wan} jump still_open")
        flow = (TARGET, TARGET_PORT, SOURCE, SOURCE_PORT)
        if self._refreshes_both:
            key = f"ip daddr . udp dport{self._remote('ip saddr', 'udp sport')}"
            zone = f"{TARGET} . {TARGET_PORT}{self._remote(SOURCE, SOURCE_PORT)}"
            rules.append(
                f"{wan} {key} @alive update @alive {{ {key} }} update @mapped {{ {key} : 0 }}"
                f" update @zone_of {{ {zone} : 0 }}"
            )
            if self._pool[1:]:
                rules.append(f"{wan} {key} @alive update @place_of {{ {key} : 0 }}")
        if asked.is_asked(self.behavior):
            rules.append(f"{wan} ct zone 0 update @callers {{ {' . '.join(flow)} }} accept")
        if self._lets_in_more_than_it_maps:
            rules.append(f"{wan} update @visitors {{ {' . '.join(flow)} : ct zone }}")
        return chain(
            "forward",
            "type filter hook forward priority filter;",
            *rules,
            f"{wan} accept",
            *rest_inbound(self.behavior, self.router),
        )
