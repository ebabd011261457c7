"""The fate of ICMP errors, fragments and payloads, as nftables rules. Pure, as `natlab.nat.table`, of which it is a part."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from natlab.behavior import NatBehavior
from natlab.nat.fields import QUOTES_UDP
from natlab.nat.rest import chain
from natlab.nat.ruleset import RouterPorts
from natlab.terms import AfterError, Fragments, IcmpErrors, Payload

_WORDS = 16
"""How many words of a payload, four octets each, are looked at."""
_HEADER = 64
"""Bits of a UDP header."""


def parts(behavior: NatBehavior, router: RouterPorts) -> Iterator[list[str]]:
    """Chains of their own; none where nothing is unusual."""
    wan = f'iifname "{router.wan}"'
    if behavior.fragments is Fragments.DROPPED:
        # Before connection tracking puts fragments together.
        hook = "type filter hook prerouting priority -450;"
        yield chain("fragments", hook, "ip frag-off & 0x3fff != 0 drop")
    if behavior.icmp_errors is IcmpErrors.DROPPED:
        errors = "icmp type { destination-unreachable, time-exceeded, parameter-problem } drop"
        hook = "type filter hook prerouting priority raw - 1;"
        yield chain("icmp_errors", hook, f"{wan} {errors}")
    if behavior.after_error is AfterError.CLOSES:
        about = f"{wan} {QUOTES_UDP} icmp code != frag-needed ct state related ct direction reply"
        yield chain(
            "icmp_closes",
            "type filter hook forward priority filter - 1;",
            f"{about} delete @sent"
            " { ct reply proto-dst . ct original ip daddr . ct original proto-dst }",
            f"{about} delete @permitted {{ ct reply proto-dst . ct original ip daddr }}",
        )
    if behavior.payload is Payload.REWRITTEN:
        yield from _alg(router)


def _alg(router: RouterPorts) -> Iterator[list[str]]:
    """Word by word. A datagram that was written to has no checksum (RFC 768), since nft counts none for a bare word."""
    outside = _number(router.wan_address)
    out, back = [], []
    for host in router.hosts:
        inside = _number(host)
        for word in range(_WORDS):
            here = f"@th,{_HEADER + 32 * word},32"
            out.append(
                f'oifname "{router.wan}" meta l4proto udp ct original ip saddr {host}'
                f" {here} {inside} {here} set {outside} udp checksum set 0"
            )
            back.append(
                f'iifname "{router.wan}" meta l4proto udp ip daddr {host}'
                f" {here} {outside} {here} set {inside} udp checksum set 0"
            )
    yield chain("alg_out", "type filter hook postrouting priority srcnat + 210;", *out)
    yield chain("alg_back", "type filter hook forward priority filter + 10;", *back)


def _number(address: str) -> str:
    return hex(int(IPv4Address(address)))
