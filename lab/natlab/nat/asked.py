"""The chains and the configuration with which a real miniupnpd leads ports of a NAT to hosts that ask. Pure text.

Packets for such a port pass in zone 0 of connection tracking, beside the zones of the NAT's own mappings. So no
flow of the one is taken for one of the other.
"""

from __future__ import annotations

from natlab.behavior import NatBehavior, PortMapping
from natlab.nat.ruleset import RouterPorts

TABLE = "nat_lab_asked"
NO_TABLE = f"table inet {TABLE} {{}}\ndelete table inet {TABLE}\n"
CHAINS = f"""{NO_TABLE}table inet {TABLE} {{
\tchain asked {{
\t}}
\tchain forward {{
\t\ttype filter hook forward priority filter; policy accept;
\t\tjump asked
\t}}
\tchain asked_in {{
\t}}
\tchain prerouting {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tjump asked_in
\t}}
\tchain asked_out {{
\t}}
}}
"""
"""The input of ``nft -f -``: miniupnpd fills the chains that begin with `asked`."""
LEAST_LIFETIME = 20
_SOMEWHERE = "8.8.8.8"
"""miniupnpd maps nothing where its own address is one of those for documents, as all of the lab's are. So it is told
another one, which it only repeats in its answers."""


def is_asked(behavior: NatBehavior) -> bool:
    """Whether hosts behind such a NAT may ask it for ports."""
    return behavior.port_mapping is PortMapping.ASKED


def configuration(router: RouterPorts) -> str:
    """For ``miniupnpd -f``: PCP, NAT-PMP and UPnP-IGD for all hosts inside."""
    lines = {
        "ext_ifname": router.wan,
        "ext_ip": _SOMEWHERE,
        "listening_ip": router.lan,
        "enable_natpmp": "yes",
        "enable_upnp": "yes",
        "secure_mode": "yes",
        "min_lifetime": LEAST_LIFETIME,
        "max_lifetime": 86_400,
        "upnp_table_name": TABLE,
        "upnp_nat_table_name": TABLE,
        "upnp_forward_chain": "asked",
        "upnp_nat_chain": "asked_in",
        "upnp_nat_postrouting_chain": "asked_out",
        "uuid": "2fe753de-de1a-412a-8dcb-55aad4a7cf56",
    }
    allowed = "allow 1024-65535 0.0.0.0/0 1024-65535"
    return "".join(f"{name}={value}\n" for name, value in lines.items()) + f"{allowed}\n"
