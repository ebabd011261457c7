"""The rules that are loaded into a router to make it a NAT. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nat_traversal.errors import UsageError

FORWARD = ("net.ipv4.ip_forward", 1)
EVERY_ERROR = ("net.ipv4.icmp_ratelimit", 0)
"""Every refused packet is answered, and not one a second after the first six: so the captures show each one's fate."""


class Firewall(StrEnum):
    """The tool that loads a NAT's rules."""

    NFTABLES = "nftables"
    """All NATs; ``linux-masquerade`` is iptables with either."""
    IPTABLES = "iptables"
    """The classic ones, with ipset."""


def parse_firewall(text: str) -> Firewall:
    """Raises `UsageError` for what is none."""
    try:
        return Firewall(text)
    except ValueError:
        raise UsageError(f"{text!r} is no firewall: choose from {', '.join(Firewall)}") from None


@dataclass(frozen=True, slots=True)
class RouterPorts:
    """A NAT's two interfaces, its external address, an inside host, and further ones."""

    lan: str
    wan: str
    wan_address: str
    lan_host: str
    further_hosts: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        return (self.lan_host, *self.further_hosts)

    @property
    def subscribers(self) -> str:
        """The internal address of foreign subscribers: the last of the network's first 17 that nobody has."""
        network, _, _ = self.lan_host.rpartition(".")
        return next(
            address for n in range(17, 0, -1) if (address := f"{network}.{n}") not in self.hosts
        )


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules that make a plain Linux router the NAT it is named for.

    `nft`, `ipset` and `iptables` are the input of ``nft -f -``, ``ipset restore`` and
    ``iptables-restore``, empty if there is nothing to load; `ipset` comes before `iptables`. `nft` and
    `iptables` replace at once what they loaded before, and `nft` forgets every mapping. Then set
    `sysctls`, of which some exist only once connection tracking is in use.
    """

    sysctls: tuple[tuple[str, int], ...]
    nft: str = ""
    iptables: str = ""
    ipset: str = ""
    miniupnpd: str = ""
    """The configuration of the miniupnpd that runs on the router; empty: none does."""
    syn_group: int = 0
    """The log group by which a holder of SYNs on the router hears of them; 0: none is there."""

    def __str__(self) -> str:
        parts = []
        if self.nft:
            parts.append(f"# nft -f -\n{self.nft}")
        if self.ipset:
            parts.append(f"# ipset restore\n{self.ipset}")
        if self.iptables:
            parts.append(f"# iptables-restore\n{self.iptables}")
        if self.miniupnpd:
            parts.append(f"# miniupnpd -f\n{self.miniupnpd}")
        if self.syn_group:
            parts.append(f"# six seconds after a SYN of log group {self.syn_group}: ICMP\n")
        settings = "".join(f"{name} = {value}\n" for name, value in self.sysctls)
        parts.append(f"# sysctl -p\n{settings}")
        return "\n".join(parts)
