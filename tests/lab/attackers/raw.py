"""UDP datagrams with a source of one's choice, as somebody sends them whose network checks no sources (BCP 38)."""

from __future__ import annotations

import socket
import struct

from nat_traversal.wire.endpoint import Endpoint

_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")


class Spoofer:
    """A raw socket. Takes root in its own namespace, and no more."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, octets: bytes, source: Endpoint, destination: Endpoint) -> None:
        """The kernel fills in the header's checksum; UDP over IPv4 may go without one (RFC 768)."""
        length = _UDP.size + len(octets)
        addresses = (socket.inet_aton(each.address) for each in (source, destination))
        ip = _IP.pack(0x45, 0, _IP.size + length, 0, 0, 64, socket.IPPROTO_UDP, 0, *addresses)
        udp = _UDP.pack(source.port, destination.port, length, 0)
        self._sock.sendto(ip + udp + octets, (destination.address, 0))
