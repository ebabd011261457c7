"""The lab's addresses, and the names of `two_nats`. Pure: no Mininet, no sockets.

Outside are the TEST-NET blocks of RFC 5737, inside is RFC 1918 space. Where a side has no NAT its
host lives in the upper half of the side's public block, behind a plain router.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface

from natlab.nat.rules import RouterPorts
from natlab.presets import Preset

SERVER = IPv4Interface("192.0.2.2/24")
SERVER_SECOND = IPv4Interface("192.0.2.3/24")
"""The server's other address: NAT behaviour shows only towards two of them (RFC 5780 section 3)."""
SERVER_ROUTER = IPv4Interface("192.0.2.1/24")
TURN = IPv4Interface("192.0.2.254/30")
"""Of coturn's node, where a topology has one."""
TURN_ROUTER = IPv4Interface("192.0.2.253/30")


class Role(StrEnum):
    """The purpose of a node in a topology."""

    HOST = "host"
    """Runs programs."""
    NAT = "nat"
    """Translates or filters for what is inside it; `none` is a NAT node that only forwards."""
    ROUTER = "router"
    """Forwards, and nothing else."""
    SERVER = "server"
    """Runs the public service: reachable by every host."""


NODES = ("host_a", "nat_a", "internet", "nat_b", "host_b", "server")


@dataclass(frozen=True, slots=True)
class SideAddresses:
    """One host, its NAT, and the NAT's link to the internet router."""

    letter: str
    preset: Preset
    host: IPv4Interface
    lan: IPv4Interface
    wan: IPv4Interface
    router: IPv4Interface

    @property
    def host_node(self) -> str:
        return f"host_{self.letter}"

    @property
    def nat_node(self) -> str:
        return f"nat_{self.letter}"

    @property
    def ports(self) -> RouterPorts:
        """The rule generator's input for this NAT."""
        return RouterPorts(
            lan=f"{self.nat_node}-lan",
            wan=f"{self.nat_node}-wan",
            wan_address=str(self.wan.ip),
            lan_host=str(self.host.ip),
        )


def side(letter: str, preset: Preset) -> SideAddresses:
    """Side ``a`` or ``b`` as it is addressed when its NAT is `preset`."""
    number, block = {"a": (1, "203.0.113"), "b": (2, "198.51.100")}[letter]
    if preset.behavior is None:
        lan, host = f"{block}.129/25", f"{block}.130/25"
    else:
        lan, host = f"10.0.{number}.1/24", f"10.0.{number}.2/24"
    return SideAddresses(
        letter=letter,
        preset=preset,
        host=IPv4Interface(host),
        lan=IPv4Interface(lan),
        wan=IPv4Interface(f"{block}.2/25"),
        router=IPv4Interface(f"{block}.1/25"),
    )
