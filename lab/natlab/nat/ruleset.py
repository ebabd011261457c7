"""The rules that are loaded into a router to make it a NAT. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

FORWARD = ("net.ipv4.ip_forward", 1)


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

    sysctls: tuple[tuple[str, int], ...]
    nft: str = ""
    iptables: str = ""

    def __str__(self) -> str:
        parts = []
        if self.nft:
            parts.append(f"# nft -f -\n{self.nft}")
        if self.iptables:
            parts.append(f"# iptables-restore\n{self.iptables}")
        settings = "".join(f"{name} = {value}\n" for name, value in self.sysctls)
        parts.append(f"# sysctl -p\n{settings}")
        return "\n".join(parts)
