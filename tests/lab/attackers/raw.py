"""UDP datagrams with a source of one's choice, as somebody sends them whose network checks no sources (BCP 38), and those of others."""

from __future__ import annotations

import socket
import struct
from typing import Self

from nat_traversal.wire.endpoint import Endpoint

_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_ETHERTYPE_IP = 0x0800


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


class Sniffer:
    """Hears what comes to a router by an interface, before the router sends it on."""

    def __init__(self, interface: str) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE_IP))
        self._sock.bind((interface, _ETHERTYPE_IP))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def next(self) -> tuple[Endpoint, Endpoint, bytes]:
        """The next UDP datagram over IPv4: its source, destination and octets."""
        while True:
            packet, about = self._sock.recvfrom(65_536)
            if about[2] == socket.PACKET_OUTGOING or packet[9] != socket.IPPROTO_UDP:
                continue
            header = (packet[0] & 0xF) * 4
            from_port, to_port, length, _ = _UDP.unpack_from(packet, header)
            source = Endpoint(socket.inet_ntoa(packet[12:16]), from_port)
            destination = Endpoint(socket.inet_ntoa(packet[16:20]), to_port)
            return source, destination, packet[header + _UDP.size : header + length]
