"""Frames to packets: the layers read by hand, and what is no evidence."""

from __future__ import annotations

import socket
import struct

import pytest

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Icmp, Packet, Protocol, Refused, dissect

HOST = Endpoint("10.0.1.2", 5000)
PEER = Endpoint("198.51.100.2", 7000)


def ipv4(
    protocol: int, body: bytes, *, options: bytes = b"", fragment: int = 0, pad: bytes = b""
) -> bytes:
    head = 5 + len(options) // 4
    return (
        struct.pack(
            "!BBHHHBBH4s4s",
            0x40 | head,
            0,
            4 * head + len(body),
            1,
            fragment,
            64,
            protocol,
            0,
            socket.inet_aton(HOST.address),
            socket.inet_aton(PEER.address),
        )
        + options
        + body
        + pad
    )


def frame(packet: bytes, ethertype: int = 0x0800) -> bytes:
    return b"\x02" * 6 + b"\x04" * 6 + struct.pack("!H", ethertype) + packet


def udp(payload: bytes) -> bytes:
    return struct.pack("!HHHH", HOST.port, PEER.port, 8 + len(payload), 0xBAD) + payload


def read(octets: bytes) -> Packet | None:
    return dissect(octets, time=1.5, point="nat_a-wan", outgoing=True)


def test_udp_packet_is_read_whatever_its_checksum() -> None:
    assert read(frame(ipv4(17, udp(b"HELLO")))) == Packet(
        1.5, "nat_a-wan", True, Protocol.UDP, HOST, PEER, b"HELLO"
    )


def test_ip_options_and_ethernet_padding_are_no_payload() -> None:
    packet = read(frame(ipv4(17, udp(b""), options=b"\x01" * 4, pad=b"\0" * 18)))
    assert packet is not None
    assert (packet.source, packet.payload) == (HOST, b"")


def test_tcp_payload_begins_after_the_options() -> None:
    header = struct.pack("!HHIIBBHHH", HOST.port, PEER.port, 1, 2, 6 << 4, 0x18, 99, 0, 0)
    packet = read(frame(ipv4(6, header + b"\x01" * 4 + b'{"type":"ping"}', pad=b"\0" * 6)))
    assert packet is not None
    assert (packet.protocol, packet.payload) == (Protocol.TCP, b'{"type":"ping"}')


@pytest.mark.parametrize("kind", list(Icmp))
def test_icmp_error_tells_what_it_refuses(kind: Icmp) -> None:
    quoted = ipv4(17, udp(b"HELLO"))
    packet = read(frame(ipv4(1, bytes([kind, 3]) + bytes(6) + quoted)))
    assert packet is not None
    assert packet.refused == Refused(kind, HOST, PEER, b"HELLO")
    assert packet.source == Endpoint(HOST.address, 0)


def test_first_fragment_counts_and_later_ones_do_not() -> None:
    more_fragments, offset_185 = 0x2000, 185
    first = read(frame(ipv4(17, udp(b"x" * 100)[:48], fragment=more_fragments)))
    assert first is not None
    assert first.payload == b"x" * 40
    assert read(frame(ipv4(17, udp(b"x" * 100), fragment=offset_185))) is None


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        frame(ipv4(17, udp(b"")), ethertype=0x0806),
        frame(ipv4(17, b"\0\1")),
        frame(ipv4(6, b"\0" * 12)),
        frame(ipv4(1, b"\x08\0" + bytes(6))),
        frame(ipv4(1, b"\x03\x03" + bytes(6) + b"\x45")),
        frame(ipv4(1, b"")),
        frame(ipv4(47, b"gre")),
        frame(b"\x45\0"),
    ],
    ids=[
        "empty",
        "ARP",
        "short UDP",
        "short TCP",
        "echo",
        "short quote",
        "ICMP",
        "GRE",
        "short IP",
    ],
)
def test_other_frames_are_no_evidence(octets: bytes) -> None:
    assert read(octets) is None
