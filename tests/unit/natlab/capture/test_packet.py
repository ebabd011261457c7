"""Frames to packets: the layers read by hand, and what is no evidence."""

from __future__ import annotations

import socket
import struct

import pytest

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Echo, Fragment, Icmp, Packet, Protocol, Refused, dissect

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


@pytest.mark.parametrize("kind", [Icmp.UNREACHABLE, Icmp.TIME_EXCEEDED, Icmp.PARAMETER_PROBLEM])
def test_icmp_error_tells_what_it_refuses(kind: Icmp) -> None:
    quoted = ipv4(17, udp(b"HELLO"))
    packet = read(frame(ipv4(1, bytes([kind, 3]) + bytes(6) + quoted)))
    assert packet is not None
    assert packet.refused == Refused(kind, HOST, PEER, b"HELLO", code=3)
    assert packet.source == Endpoint(HOST.address, 0)


def test_a_fragment_tells_which_part_it_is_and_only_the_first_has_ports() -> None:
    more_fragments, offset_185 = 0x2000, 185
    first = read(frame(ipv4(17, udp(b"x" * 100)[:48], fragment=more_fragments)))
    assert first is not None
    assert first.payload == b"x" * 40
    assert (first.source.port, first.fragment) == (HOST.port, Fragment(0, True, 1))
    last = read(frame(ipv4(17, b"x" * 60, fragment=offset_185)))
    assert last is not None
    assert (last.protocol, last.source.port) == (Protocol.FRAGMENT, 0)
    assert (last.payload, last.fragment) == (b"x" * 60, Fragment(8 * 185, False, 1))


def test_an_error_about_a_size_tells_the_mtu_and_about_an_echo_no_ports() -> None:
    echo = ipv4(1, struct.pack("!BBHHH", 8, 0, 0, 7, 1) + b"data")
    packet = read(frame(ipv4(1, struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + echo)))
    assert packet is not None
    host, peer = Endpoint(HOST.address, 0), Endpoint(PEER.address, 0)
    assert packet.refused == Refused(Icmp.UNREACHABLE, host, peer, b"data", code=4, mtu=1400)


def test_an_echo_is_read_with_its_numbers() -> None:
    packet = read(frame(ipv4(1, struct.pack("!BBHHH", 8, 0, 0, 7, 3) + b"data")))
    assert packet is not None
    assert (packet.echo, packet.payload) == (Echo(True, 7, 3), b"data")
    packet = read(frame(ipv4(1, struct.pack("!BBHHH", 0, 0, 0, 7, 3))))
    assert packet is not None
    assert packet.echo == Echo(False, 7, 3)


HOST6, PEER6 = Endpoint("2001:db8:a:1::2", 5000), Endpoint("2001:db8::5", 7000)


def ipv6(protocol: int, body: bytes) -> bytes:
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, e.address) for e in (HOST6, PEER6))
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + addresses + body


def read6(protocol: int, body: bytes) -> Packet | None:
    return read(frame(ipv6(protocol, body), ethertype=0x86DD))


def test_ipv6_is_read_like_ipv4_past_its_extension_headers() -> None:
    packet = read6(60, bytes([17, 0]) + bytes(6) + udp(b"hello"))
    assert packet is not None
    assert (packet.protocol, packet.source, packet.destination, packet.payload) == (
        Protocol.UDP, HOST6, PEER6, b"hello",
    )  # fmt: skip
    later = read6(44, struct.pack("!BBHI", 17, 0, 1448, 99) + b"rest")
    assert later is not None
    assert (later.protocol, later.fragment) == (Protocol.FRAGMENT, Fragment(1448, False, 99))
    echo = read6(58, struct.pack("!BBHHH", 128, 0, 0, 7, 3))
    assert echo is not None
    assert echo.echo == Echo(True, 7, 3)
    too_big = read6(58, struct.pack("!BBHI", 2, 0, 0, 1280) + ipv6(17, udp(b"hello")))
    assert too_big is not None
    assert too_big.refused == Refused(Icmp.PACKET_TOO_BIG, HOST6, PEER6, b"hello", mtu=1280)
    assert read6(58, bytes([135]) + bytes(23)) is None  # neighbour discovery


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        frame(ipv4(17, udp(b"")), ethertype=0x0806),
        frame(ipv4(17, b"\0\1")),
        frame(ipv4(6, b"\0" * 12)),
        frame(ipv4(1, b"\x08\0" + bytes(3))),
        frame(ipv4(1, b"\x0d\0" + bytes(6))),
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
        "short echo",
        "timestamp",
        "short quote",
        "ICMP",
        "GRE",
        "short IP",
    ],
)
def test_other_frames_are_no_evidence(octets: bytes) -> None:
    assert read(octets) is None
