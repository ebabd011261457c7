"""Is each NAT what it says? Every claim of a behaviour, asked of a kernel that runs its rules.

`probe` asks for the two axes before a cell uses a NAT. This asks for everything, of two NATs of the
behaviour in one network (`shared_nat`): nat_a with two inside hosts, and nat_b with one and a
lifetime that one can wait for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from itertools import pairwise
from typing import TYPE_CHECKING

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation
from natlab.behavior import NINE, NatBehavior, Protocols, Unsolicited, pool
from natlab.errors import LabError, SandboxUnavailableError
from natlab.nat.ruleset import Firewall
from natlab.network.addressing import SERVER, SERVER_SECOND
from natlab.network.adjacency import gateways
from natlab.presets import REAL_WORLD, Preset, preset
from natlab.probe import crowd, fill, ipv6, lifetimes, quirks, tcp, tcp_lifetimes
from natlab.probe.errors import HELD, LOST, Errors
from natlab.probe.finding import Finding, claim
from natlab.probe.lifetimes import LIFETIME
from natlab.probe.observe import Observation, observe
from natlab.probe.sockets import (
    BOTH_OTHER,
    SAME_ADDRESS,
    SAME_ENDPOINT,
    Exchange,
    Host,
    Outside,
    endpoint,
    one_cpu,
)
from natlab.sandbox import sandbox
from natlab.terms import IcmpErrors, Syn

if TYPE_CHECKING:
    from natlab.network.network import Network

CROWDED = "APDM+APDF+evict+arbitrary+sessions-256+background-20+addresses-2"
EVERY = (
    *NINE,
    *("linux-masquerade", *REAL_WORLD),
    *("EIM+EIF+sequential", "APDM+APDF+sequential", "ADM+ADF+preserving", "APDM+EIF+reject"),
    *("EIM+ADF+hairpin-external-source", "EIM+APDF+hairpin-internal-source"),
    "EIM+APDF+hairpin-external-source+inbound-refresh",
    *("ADM+EIF+hairpin-external-source", "APDM+EIF+hairpin-external-source"),
    "APDM+APDF+hairpin-internal-source",
    *("EIM+EIF+inbound-refresh", "APDM+APDF+inbound-refresh", "EIM+APDF+absolute"),
    *("APDM+APDF+absolute", "APDM+APDF+preserving"),
    *("EIM+EIF+sessions-256", "APDM+APDF+evict+sessions-256", CROWDED),
    *("EIM+APDF+sequential+background-20", "APDM+APDF+sequential+background-100"),
    *("EIM+APDF+addresses-2", "EIM+EIF+arbitrary+addresses-3", "APDM+APDF+arbitrary+addresses-2"),
    *("EIM+EIF+tcp-eif+syn-icmp", "EIM+ADF+tcp-adf+syn-reset"),
    *("APDM+APDF+tcp-apdm+no-crossing-syn", "EIM+APDF+reject+syn-drop"),
    "EIM+APDF+reject+syn-hold+tcp-sessions-64",
    "APDM+APDF+tcp-established-300s+tcp-transitory-60s",
    *("EIM+APDF+no-icmp-errors+no-fragments", "EIM+ADF+icmp-closes", "APDM+APDF+icmp-closes"),
    *("EIM+APDF+random+port-parity", "APDM+APDF+preserving+port-parity+alg"),
    *("EIM+APDF+nat66", "EIM+APDF+nptv6", "EIM+APDF+nat66-apdm"),
    *("EIM+EIF+hairpin-external-source+nat64", "APDM+APDF+nat64"),
    *("EIM+APDF+ipv6-adf", "EIM+APDF+nptv6+ipv6-eif"),
)
"""The NATs to ask by default: all nine pairs, and every flag at least once."""
BY_IPTABLES = (
    "full-cone",
    "restricted-cone",
    "port-restricted-cone",
    "symmetric",
    "linux-masquerade",
)
"""The same for iptables: all that it makes."""
LATE = 3.0
"""Seconds after a datagram when errors about it come: as long as Linux asks for a neighbour in vain."""
_TIMEOUT = 300.0
_FRESH, _OWN_PORTS = 5, 20_000


@dataclass(frozen=True, slots=True)
class Conformance:
    """The findings of one NAT. With `error` the asking itself went wrong."""

    name: str
    behavior: str
    findings: tuple[Finding, ...]
    lived: float | None = None
    """Measured lifetime of a mapping over the configured one."""
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None and all(finding.holds for finding in self.findings)


def examine(
    name: str,
    really: str | None = None,
    warm: sandbox.Sandbox | None = None,
    *,
    filled: bool = True,
    firewall: Firewall = Firewall.NFTABLES,
) -> Conformance:
    """Ask everything of the NAT that `name` is, or of `really` what `name` claims.

    It is `filled` to its last port, which takes most of the time, unless told otherwise.

    In a sandbox of its own, or apart from what else goes on in a `warm` one. Raises `UsageError` for a name that is none, or that is no NAT.
    """
    behavior = preset(name).behavior
    if behavior is None:
        raise UsageError(f"{name} is no NAT: there is nothing to ask")
    try:
        call = warm.call_apart if warm else sandbox.call
        findings, lived = call(_TIMEOUT, _examine, name, really or name, filled, firewall)
    except SandboxUnavailableError:
        raise
    except LabError as error:
        return Conformance(name, str(behavior), (), error=str(error))
    return Conformance(name, str(behavior), tuple(findings), lived)


def examine_all(
    names: Sequence[str],
    jobs: int,
    done: Callable[[Conformance], None],
    firewall: Firewall = Firewall.NFTABLES,
) -> list[Conformance]:
    """`examine` each, `jobs` at a time; `done` is called as each ends. In the order of `names`."""

    def one(name: str, warm: sandbox.Sandbox) -> Conformance:
        found = examine(name, warm=warm, firewall=firewall)
        done(found)
        return found

    pool = ThreadPoolExecutor(jobs)
    with sandbox.Sandbox() as warm:
        try:
            return list(pool.map(partial(one, warm=warm), names))
        finally:
            # After an error what still goes on ends with the sandbox; nothing waits for it.
            pool.shutdown(wait=False, cancel_futures=True)


def _examine(
    name: str, really: str, is_filled: bool, firewall: Firewall
) -> tuple[list[Finding], float | None]:
    """Runs in a sandbox."""
    from natlab.network.base import made_by  # noqa: PLC0415
    from natlab.network.network import standing  # noqa: PLC0415 - only a sandbox imports Mininet
    from natlab.topologies.shared_nat import SharedNat  # noqa: PLC0415

    behavior, loaded = preset(name).behavior, preset(really).behavior
    assert behavior is not None
    assert loaded is not None
    hurried = str(_hurried(loaded, behavior))
    names = ("host_a1", "host_a2", "host_a3")[: 3 if is_filled else 2]
    topology = made_by(SharedNat(hosts=len(names), nat_a=really, nat_b=hurried), firewall)
    with standing(topology) as network:
        server = Outside(network.pid("server"), str(SERVER.ip), str(SERVER_SECOND.ip))
        hosts = [_host(network, name) for name in names]
        filled = (
            [*fill.findings(network, hosts, server, behavior)]
            if is_filled and not behavior.blocks_udp and not behavior.sessions
            else []
        )
        with one_cpu(), ExitStack() as stack:
            exchange = Exchange(hosts[0], server, stack)
            subject = _Subject(network, exchange, preset(name), behavior, hosts[1])
            findings = [*subject.findings(), *tcp.findings(exchange, server, behavior)]
            if behavior.blocks_udp:
                return findings, None
            findings += quirks.findings(exchange, server, behavior)
            errors = Errors(exchange, server, stack)
            sent = time.monotonic()
            inner = Exchange(_host(network, "host_b"), server, stack)
            inner.open_fence()
            told_of_tcp = stack.enter_context(tcp_lifetimes.asking(inner, server, LIFETIME))
            stock = behavior.unsolicited is Unsolicited.ORDER_SENSITIVE
            ages, lived = lifetimes.findings(
                inner, behavior.refresh, None if stock else told_of_tcp
            )
            time.sleep(max(0.0, sent + LATE - time.monotonic()))
            told = [*subject.errors(errors)]
    return [*findings, *filled, *ages, *told, *ipv6.of(behavior, really)], lived


def _hurried(loaded: NatBehavior, behavior: NatBehavior) -> NatBehavior:
    """`loaded` with times that one can wait for, where they are those of `behavior`."""
    if loaded.lifetime == behavior.lifetime:
        loaded = replace(loaded, lifetime=LIFETIME)
    if loaded.unsolicited is Unsolicited.ORDER_SENSITIVE:
        return loaded
    if loaded.tcp_established == behavior.tcp_established:
        loaded = replace(loaded, tcp_established=LIFETIME)
    if loaded.tcp_transitory == behavior.tcp_transitory:
        loaded = replace(loaded, tcp_transitory=LIFETIME)
    return loaded


def _host(network: Network, name: str) -> Host:
    return Host(network.pid(name), network.address(name))


@dataclass(frozen=True, slots=True)
class _Subject:
    """nat_a, with two hosts behind it."""

    network: Network
    exchange: Exchange
    preset: Preset
    behavior: NatBehavior
    other: Host

    def findings(self) -> Iterator[Finding]:
        outside = pool(self.behavior, self.network.nat("nat_a").ports.wan_address)
        observed = observe(self.exchange, self.preset, outside)
        if self.behavior.blocks_udp:
            yield claim("no UDP passes, and TCP does", True, observed.mapping is None)
            echo = self.behavior.protocols is Protocols.NO_UDP
            yield claim("ICMP echo passes", echo, observed.echo_passes)
            return
        yield from self._axes(observed)
        yield claim("port allocation", self.behavior.allocation, self._allocation())
        shares = "the second is refused" if self._gives_a_port_once else "each reached at its own"
        yield Finding("two hosts on one port", shares, self._two_hosts())
        yield Finding("hairpin", self._hairpin_wanted(), self._hairpin())
        yield from crowd.findings(self.network, self.exchange, self.behavior)
        yield Finding("after a reboot", "closed", self._reboot())

    def errors(self, errors: Errors) -> Iterator[Finding]:
        """To be asked `LATE` seconds after `errors` was made, or later."""
        ports, routers = self.network.nat("nat_a").ports, self._routers()
        lets_in = self.behavior.icmp_errors is IcmpErrors.TRANSLATED
        yield Finding(f"errors {LATE:g} s late", "come in" if lets_in else LOST, errors.late())
        wanted = "come in" if lets_in else f"none from {routers[1]}"
        yield Finding("errors on the way", wanted, errors.on_the_way(routers))
        stranger = {
            Filtering.ENDPOINT_INDEPENDENT: BOTH_OTHER,
            Filtering.ADDRESS_DEPENDENT: SAME_ADDRESS,
            Filtering.ADDRESS_AND_PORT_DEPENDENT: SAME_ENDPOINT,
        }[self.behavior.filtering]
        leaving = errors.leaving(self.exchange.remotes[stranger])
        yield Finding("errors about who is let in", "leave", leaving)
        if self.behavior.hairpin is Hairpin.EXTERNAL_SOURCE:
            yield Finding("errors about hairpinned", "come back", errors.hairpinned(self.other))
        asked = errors.held_syn if self.behavior.syn is Syn.HELD else errors.syn
        yield Finding("TCP from outside", self._syn_wanted(), asked(ports.wan_address))

    def _syn_wanted(self) -> str:
        drops = self.behavior.unsolicited is Unsolicited.DROP
        return {
            Syn.AS_REST: "silence" if drops else "reset",
            Syn.DROP: "silence",
            Syn.RESET: "reset",
            Syn.UNREACHABLE: "port unreachable",
            Syn.HELD: HELD,
        }[self.behavior.syn]

    def _routers(self) -> tuple[str, str]:
        """The NAT, and the router behind it, as they call themselves towards inside."""
        inside = ip_address(self.exchange.host.address)
        groups = self.network.addresses("nat_a").values()
        lan = next(each for group in groups for each in group if inside in each.network)
        (gateway,) = gateways(self.network.node("nat_a"))
        return str(lan.ip), str(gateway)

    def _axes(self, observed: Observation) -> Iterator[Finding]:
        yield claim("mapping", self.behavior.mapping, observed.mapping)
        yield claim("filtering", self.behavior.filtering, observed.filtering)
        yield claim("closed until it has sent", True, observed.closed_until_sent)
        let_in = [p for p in observed.probes if p.question == "filtering" and p.arrived]
        inwards = [p for p in let_in if p.source.address.startswith("192.0.2.")]
        yield claim("sources unchanged", True, all(p.seen_as == p.source for p in inwards))
        yield claim("unsolicited", self.behavior.unsolicited, observed.unsolicited)

    def _allocation(self) -> PortAllocation:
        """Of a few fresh mappings of either host."""
        remote = self.exchange.remotes[SAME_ENDPOINT]
        own: list[int] = []
        got: list[int] = []
        for host in (self.exchange.host, self.other):
            for _ in range(_FRESH):
                # Below the ports that systems choose by themselves, so that nobody had it before.
                inside = self.exchange.inside(host, _OWN_PORTS + len(own))
                own.append(endpoint(inside).port)
                got.append(self.exchange.send_out("allocation", inside, remote).port)
        if got == own:
            return PortAllocation.PRESERVING
        if all(after - before == 1 for before, after in pairwise(got)):
            return PortAllocation.SEQUENTIAL
        blocks = [{port // 1024 for port in part} for part in (got[:_FRESH], got[_FRESH:])]
        if all(len(block) == 1 for block in blocks) and blocks[0] != blocks[1]:
            return PortAllocation.BLOCK_PER_HOST
        return PortAllocation.RANDOM

    @property
    def _gives_a_port_once(self) -> bool:
        """An external port is always the internal one, so one host alone can have it."""
        by_iptables = self.network.nat("nat_a").firewall is Firewall.IPTABLES
        stock = self.behavior.unsolicited is Unsolicited.ORDER_SENSITIVE
        return by_iptables and not stock and self.behavior.mapping is Mapping.ENDPOINT_INDEPENDENT

    def _two_hosts(self) -> str:
        """Both use one source port, towards one remote."""
        exchange, question = self.exchange, "two hosts on one port"
        remote = exchange.remotes[SAME_ENDPOINT]
        first = exchange.inside()
        both = [first, exchange.inside(self.other, endpoint(first).port)]
        if self._gives_a_port_once:
            exchange.send_out(question, first, remote)
            return "the second is refused" if exchange.is_refused(both[1], remote) else "shared"
        mapped = [exchange.send_out(question, inside, remote) for inside in both]
        if mapped[0] == mapped[1]:
            return "one mapping for both"
        for inside, target in zip(both, mapped, strict=True):
            if not exchange.send_in(question, remote, target, inside).arrived:
                return f"{endpoint(inside)} not reached at {target}"
        return "each reached at its own"

    def _hairpin_wanted(self) -> str:
        return {
            Hairpin.NONE: "not delivered",
            Hairpin.INTERNAL_SOURCE: "delivered from the internal source",
            Hairpin.EXTERNAL_SOURCE: "delivered from the external source",
        }[self.behavior.hairpin]

    def _hairpin(self) -> str:
        """Each sends to where the server sees the other, so that the filters are open; then again."""
        exchange, question = self.exchange, "hairpin"
        remote = exchange.remotes[SAME_ENDPOINT]
        both = [exchange.inside(), exchange.inside(self.other)]
        mapped = [exchange.send_out(question, inside, remote) for inside in both]
        exchange.send_in(question, both[0], mapped[1], both[1])
        seen = []
        for here, there in ((1, 0), (0, 1)):
            source = exchange.send_in(question, both[here], mapped[there], both[there]).seen_as
            if source is None:
                seen.append("not delivered")
            elif source == endpoint(both[here]):
                seen.append("delivered from the internal source")
            else:
                # The answer too: each from the mapping that the server sees, if that is for all.
                answer = exchange.send_in(question, both[there], source, both[here]).seen_as
                independent = self.behavior.mapping is Mapping.ENDPOINT_INDEPENDENT
                as_mapped = [source == mapped[here], answer == mapped[there]]
                if answer and as_mapped == [independent, independent]:
                    seen.append("delivered from the external source")
                else:
                    seen.append(f"delivered from {source}, answered from {answer}")
        return seen[0] if seen[0] == seen[1] else " and ".join(seen)

    def _reboot(self) -> str:
        exchange, question = self.exchange, "after a reboot"
        remote = exchange.remotes[SAME_ENDPOINT]
        inside = exchange.inside()
        mapped = exchange.send_out(question, inside, remote)
        if not exchange.send_in("before a reboot", remote, mapped, inside).arrived:
            return "closed before it"
        self.network.forget("nat_a")
        exchange.open_fence()
        arrived = exchange.send_in(question, remote, mapped, inside).arrived
        return "open" if arrived else "closed"
