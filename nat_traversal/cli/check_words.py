"""A check's verdict in plain words: the report that people read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeVar

from nat_traversal.check.rungs import Row, rows
from nat_traversal.check.verdict import Ipv6, Pooling, Udp, Verdict
from nat_traversal.wire.behavior import Filtering, Hairpin, PortAllocation
from nat_traversal.wire.behavior import Mapping as Mapped

_MAPPING = {
    Mapped.ENDPOINT_INDEPENDENT: "one port for all destinations",
    Mapped.ADDRESS_DEPENDENT: "a new port for each destination address",
    Mapped.ADDRESS_AND_PORT_DEPENDENT: "a new port for each destination",
}
_FILTERING = {
    Filtering.ENDPOINT_INDEPENDENT: "open to everybody",
    Filtering.ADDRESS_DEPENDENT: "open to addresses that this host has sent to",
    Filtering.ADDRESS_AND_PORT_DEPENDENT: "open to endpoints that this host has sent to",
}
_ALLOCATION = {
    PortAllocation.PRESERVING: "this host's own port while it is free",
    PortAllocation.SEQUENTIAL: "the next port",
    PortAllocation.BLOCK_PER_HOST: "a port of one block",
    PortAllocation.RANDOM: "any port",
}
_HAIRPIN = {
    Hairpin.NONE: "nothing came back that was sent to this host's own external endpoint",
    Hairpin.EXTERNAL_SOURCE: "delivered from the external endpoint",
    Hairpin.INTERNAL_SOURCE: "delivered from the internal endpoint",
}
_POOLING = {
    Pooling.PAIRED: "one external address for all mappings",
    Pooling.ARBITRARY: "several external addresses",
}
_IPV6 = {
    Ipv6.UNTRANSLATED: "the server answers, and sees this host's own address",
    Ipv6.TRANSLATED: "the server answers, and sees a translated address",
    Ipv6.UNANSWERED: "the server does not answer",
}


def report(verdict: Verdict) -> list[str]:
    """The lines of the report. Sentences of others are not in it, only addresses."""
    told = [f"{name + ':':<18}{text}" for name, text in _findings(verdict)]
    return [*told, "", *_table(rows(verdict))] if verdict.server is not None else told


def _findings(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """Each with its words, or with the reason why it is not told."""
    if verdict.server is not None:
        yield "server", _server(verdict)
    for name, words in (
        ("udp", _udp(verdict)),
        ("nat", _nat(verdict)),
        ("mapping", _term(verdict.mapping, _MAPPING)),
        ("filtering", _term(verdict.filtering, _FILTERING)),
        ("order_sensitive", _order(verdict)),
        ("allocation", _term(verdict.allocation, _ALLOCATION)),
        ("pooling", _term(verdict.pooling, _POOLING)),
        ("hairpin", _term(verdict.hairpin, _HAIRPIN)),
        ("lifetime", _lifetime(verdict)),
        ("mtu", None if verdict.mtu is None else f"{verdict.mtu} octets"),
        ("ipv6", _term(verdict.ipv6, _IPV6)),
        ("port_mapping", _port_mapping(verdict)),
    ):
        said = words
        if said is None and name in verdict.not_told:
            said = f"not told: {verdict.not_told[name]}"
        if said is not None:
            yield name.replace("_", " "), said


T = TypeVar("T", bound=StrEnum)


def _term(term: T | None, words: Mapping[T, str]) -> str | None:
    return None if term is None else f"{term}: {words[term]}"


def _server(verdict: Verdict) -> str:
    trip = verdict.round_trip
    return f"{verdict.server}" + (f", {1000 * trip:.0f} ms there and back" if trip else "")


def _udp(verdict: Verdict) -> str | None:
    if verdict.udp in (None, Udp.PASSES):
        return verdict.udp
    pings = {Udp.NO_UDP: ", though pings do", Udp.TCP_ONLY: ", nor do pings"}.get(verdict.udp, "")
    return f"{verdict.udp}: the server takes TCP connections, and no UDP comes back{pings}"


def _nat(verdict: Verdict) -> str | None:
    seen = ", ".join(verdict.addresses)
    if verdict.nat is False:
        return f"none: the server sees this host's own address, {seen}"
    return None if verdict.nat is None else f"{verdict.id or 'yes'}, outside {seen}"


def _order(verdict: Verdict) -> str | None:
    if verdict.order_sensitive:
        return "yes: a stranger's packet that comes first moves this host's answer to another port"
    return None if verdict.order_sensitive is None else "no"


def _lifetime(verdict: Verdict) -> str | None:
    if verdict.lifetime is None:
        return None
    low, high = verdict.lifetime
    if high is None:
        return f"an idle mapping lives for {low:g} s and longer"
    return f"an idle mapping ends at an age between {low:g} and {high:g} s"


def _port_mapping(verdict: Verdict) -> str | None:
    return (
        ", ".join(
            f"{name} {'answered' if is_answered else 'not answered'}"
            for name, is_answered in verdict.port_mapping.items()
        )
        or None
    )


def _table(table: list[Row]) -> Iterator[str]:
    yield f"{'towards a peer behind':<28}{'rung':<16}how long it takes"
    for row in table:
        if row.rung is None:
            yield f"{row.peer:<28}{'-':<16}{row.note}"
            continue
        time = f"{row.seconds:.2f} s" + (f" and {row.note}" if row.note else "")
        lacks = "" if row.is_here else "; this version lacks it, and relays"
        yield f"{row.peer:<28}{row.rung:<16}{time}{lacks}"
