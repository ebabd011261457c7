"""Claims that show by many packets: a cap on sessions, other subscribers, several external addresses."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from natlab.behavior import NatBehavior, Overflow, Pooling, pool
from natlab.nat.forget import mappings
from natlab.probe.finding import Finding
from natlab.probe.sockets import SAME_ENDPOINT, Exchange, endpoint

if TYPE_CHECKING:
    from natlab.network.network import Network

_FRESH = 6
_LISTENED = 1.5
"""Seconds for which the mappings of other subscribers are counted."""


def findings(network: Network, exchange: Exchange, behavior: NatBehavior) -> Iterator[Finding]:
    """Of nat_a. It forgets, and what went before may do so as well."""
    if behavior.addresses > 1:
        paired = behavior.pooling is Pooling.PAIRED
        wanted = "one for all" if paired else f"{behavior.addresses} in turn"
        outside = pool(behavior, network.nat("nat_a").ports.wan_address)
        yield Finding("external addresses of a host", wanted, _addresses(exchange, outside))
    if behavior.background:
        wanted = f"about {behavior.background}"
        yield Finding("foreign flows a second", wanted, _flows(network, behavior))
    if behavior.sessions:
        refuses = behavior.overflow is Overflow.REFUSE
        wanted = "the new one is refused" if refuses else "an old one ends"
        network.forget("nat_a")
        yield Finding(
            f"session {behavior.sessions + 1}", wanted, _beyond(exchange, behavior.sessions)
        )
        network.forget("nat_a")
        exchange.open_fence()


def _addresses(exchange: Exchange, outside: tuple[str, ...]) -> str:
    remote = exchange.remotes[SAME_ENDPOINT]
    seen = [exchange.send_out("pooling", exchange.inside(), remote).address for _ in range(_FRESH)]
    if not set(seen) <= set(outside):
        return f"{', '.join(sorted(set(seen)))}, of which not all are the NAT's"
    if len(set(seen)) == 1:
        return "one for all"
    steps = {(outside.index(b) - outside.index(a)) % len(outside) for a, b in pairwise(seen)}
    return f"{len(set(seen))} in turn" if steps == {1} else f"{len(set(seen))}"


def _flows(network: Network, behavior: NatBehavior) -> str:
    """By the NAT's own table, since no packet of theirs comes out."""
    from natlab.network.background import subscribers  # noqa: PLC0415 - only a sandbox imports Mininet

    nat = network.nat("nat_a")
    pid, source = network.pid("nat_a"), nat.ports.subscribers
    before, began = mappings(pid, source), time.monotonic()
    with subscribers(network):
        time.sleep(_LISTENED)
    took = time.monotonic() - began
    made = mappings(pid, source) - before
    expected = behavior.background * took
    # Five standard deviations of a Poisson count: one in a million is farther off.
    if abs(made - expected) <= 5 * expected**0.5:
        return f"about {behavior.background}"
    return f"{made / took:.1f}"


def _beyond(exchange: Exchange, most: int) -> str:
    """As many sessions as there may be, of which the fence has the first; then one more."""
    exchange.open_fence()
    remote = exchange.remotes[SAME_ENDPOINT]
    held = [exchange.inside() for _ in range(most - 1)]
    mapped = [exchange.send_out("sessions", each, remote) for each in held]
    one_more, tokens = exchange.inside(), [secrets.token_bytes(8), secrets.token_bytes(8)]
    one_more.sendto(tokens[0], endpoint(remote).sockaddr)
    held[-1].sendto(tokens[1], endpoint(remote).sockaddr)
    came = [remote.recvfrom(64)[0]]
    if came[0] == tokens[0]:
        came.append(remote.recvfrom(64)[0])
        exchange.open_fence()  # whose session was the first to end; now the next one has
    first, second = (
        exchange.send_in("sessions", remote, mapped[n], held[n]).arrived for n in (0, 1)
    )
    if came == tokens[1:]:
        return "the new one is refused" if first and second else "all end"
    if came == tokens:
        return "an old one ends" if second and not first else "there is room"
    return f"{len(came)} datagrams came"
