"""Whether a router speaks a protocol that maps ports: questions that change nothing, and their answers.

PCP (RFC 6887), NAT-PMP (RFC 6886) and UPnP's discovery. No mapping is asked for.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum

from nat_traversal.wire.endpoint import Endpoint

PORT = 5351
"""Of PCP and NAT-PMP at the router."""
SSDP = Endpoint("239.255.255.250", 1900)
"""Where UPnP devices listen for searches."""
_GATEWAY_DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
_PCP_VERSION, _ANNOUNCE, _PMP_VERSION, _EXTERNAL_ADDRESS, _IS_RESPONSE = 2, 0, 0, 0, 0x80
_MOST_WAIT = 1


class MappingProtocol(StrEnum):
    """In the order in which they came."""

    PCP = "pcp"
    NAT_PMP = "nat-pmp"
    UPNP = "upnp"


def question(protocol: MappingProtocol, inside: str) -> bytes:
    """The octets to send. `inside`: this host's address towards the router.

    PCP: ANNOUNCE (RFC 6887 section 14.1). NAT-PMP: the external address (RFC 6886 section 3.2). UPnP: a search
    for gateways.
    """
    match protocol:
        case MappingProtocol.PCP:
            own = ipaddress.ip_address(inside)
            octets = own.packed if own.version == 6 else bytes(10) + b"\xff\xff" + own.packed
            return bytes([_PCP_VERSION, _ANNOUNCE]) + bytes(6) + octets
        case MappingProtocol.NAT_PMP:
            return bytes([_PMP_VERSION, _EXTERNAL_ADDRESS])
        case MappingProtocol.UPNP:
            return (
                f'M-SEARCH * HTTP/1.1\r\nHOST: {SSDP}\r\nMAN: "ssdp:discover"\r\n'
                f"MX: {_MOST_WAIT}\r\nST: {_GATEWAY_DEVICE}\r\n\r\n"
            ).encode()


def is_answered(protocol: MappingProtocol, data: bytes) -> bool:
    """Whether `data` says that the router speaks `protocol`. An error that names another version does not."""
    match protocol:
        case MappingProtocol.PCP:
            return len(data) >= 24 and data[0] == _PCP_VERSION and data[1] == _IS_RESPONSE
        case MappingProtocol.NAT_PMP:
            return (
                len(data) >= 8
                and data[0] == _PMP_VERSION
                and data[1] == _IS_RESPONSE
                and not (data[2] or data[3])
            )
        case MappingProtocol.UPNP:
            head = data[:2048].decode("ascii", "replace")
            return head.startswith("HTTP/1.1 200") and ":InternetGatewayDevice:" in head
