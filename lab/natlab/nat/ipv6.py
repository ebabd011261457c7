"""A router's IPv6, with or without translation, as the input of ``ip6tables-restore``. Pure text."""

from __future__ import annotations

from collections.abc import Iterator

from natlab.terms import Ipv6


def stateful_firewall(
    wan: str, ipv6: Ipv6 = Ipv6.FIREWALL, inside: str = "", outside: str = ""
) -> str:
    """The rules for a router that lets in what the inside has asked for, and translates as `ipv6` says.

    `inside` and `outside` are the prefixes of `Ipv6.NPTV6`. Neighbour discovery is the link's own business and
    stays open (RFC 4890 section 4.4).
    """
    judging = [
        f"INPUT -i {wan} -p icmpv6 -j ACCEPT",
        f"INPUT -i {wan} -j DROP",
        f"FORWARD -i {wan} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        f"FORWARD -i {wan} -j DROP",
    ]
    lines = _table("filter", ("INPUT", "FORWARD", "OUTPUT"), judging)
    if ipv6 is not Ipv6.FIREWALL:
        chains = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
        lines += _table("nat", chains, [*_translation(wan, ipv6, inside, outside)])
    return "\n".join([*lines, ""])


def _translation(wan: str, ipv6: Ipv6, inside: str, outside: str) -> Iterator[str]:
    if ipv6 is Ipv6.NAT66:
        yield f"POSTROUTING -o {wan} -j MASQUERADE"
        return
    yield f"POSTROUTING -o {wan} -s {inside} -j NETMAP --to {outside}"
    yield f"PREROUTING -i {wan} -d {outside} -j NETMAP --to {inside}"


def _table(name: str, chains: tuple[str, ...], rules: list[str]) -> list[str]:
    heads = [f":{chain} ACCEPT [0:0]" for chain in chains]
    return [f"*{name}", *heads, *(f"-A {rule}" for rule in rules), "COMMIT"]
