"""Capturing in real namespaces: one timeline, nothing lost, and a file that Wireshark's tools read."""

# ruff: noqa: PLC0415 - all workers read this file, and only a sandbox uses scapy, which takes long to read

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from natlab.capture.packet import Packet, Protocol
from natlab.capture.ring import SLOTS
from natlab.errors import LabError
from natlab.evidence.journey import CAPTURE_POINTS
from natlab.faults.inject import Faults
from natlab.network.network import Network
from natlab.programs.programs import Programs
from natlab.sandbox.netns import in_namespace, udp_socket
from natlab.topologies.two_nats import two_nats_network
from tests.lab import warm

if TYPE_CHECKING:
    from natlab.capture.taps import Tap

SERVER = "192.0.2.2"
DATAGRAMS = SLOTS - 48
"""A ring holds them all, and some ARP: none is lost even where the capture gets no processor meanwhile."""
PATH = [("host_a-eth0", True), ("nat_a-lan", False), ("nat_a-wan", True), ("server-eth0", False)]


def taps(network: Network) -> list[Tap]:
    from natlab.capture.taps import Tap

    return [Tap(network.pid(node), interface) for interface, node in CAPTURE_POINTS.items()]


def send_to_server(network: Network, count: int) -> None:
    """`count` datagrams from host_a; returns when the server has the last."""
    with (
        udp_socket(network.pid("server"), SERVER, 7000) as server,
        udp_socket(network.pid("host_a"), "10.0.1.2", 6000) as host,
    ):
        server.settimeout(10)
        for number in range(count):
            host.sendto(b"HELLO %d" % number, (SERVER, 7000))
            assert server.recv(100) == b"HELLO %d" % number


def numbered(packets: tuple[Packet, ...]) -> list[Packet]:
    return [packet for packet in packets if packet.payload.startswith(b"HELLO ")]


def capture_burst(path: str) -> tuple[Packet, ...]:
    from natlab.capture.taps import Capture

    with two_nats_network("symmetric", "none") as network:
        recorded = Capture(taps(network))
        send_to_server(network, DATAGRAMS)
        recorded.stop()
        recorded.stop()
        recorded.write(Path(path))
    return recorded.packets


def test_every_packet_is_seen_at_every_point_in_order_and_read_by_tshark(tmp_path: Path) -> None:
    path = tmp_path / "cell.pcapng"
    packets = numbered(warm.call(50, capture_burst, str(path)))

    assert len(packets) == DATAGRAMS * len(PATH)
    by_number: dict[bytes, list[Packet]] = {}
    for packet in packets:
        by_number.setdefault(packet.payload, []).append(packet)
    assert len(by_number) == DATAGRAMS
    for seen in by_number.values():
        assert [(packet.point, packet.outgoing) for packet in seen] == PATH
        sources = [str(packet.source) for packet in seen]
        assert sources[:2] == ["10.0.1.2:6000"] * 2
        assert sources[2] == sources[3] != "203.0.113.2:6000"
    times = [packet.time for packet in packets]
    assert times == sorted(times)

    fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "ip.src",
        "udp.checksum.status",
    ]
    command = ["tshark", "-r", str(path), "-o", "udp.check_checksum:TRUE"]
    command += ["-Y", "udp.dstport == 7000", "-T", "fields"]
    command += [part for field in fields for part in ("-e", field)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    inwards, outwards, good = "0x00000001", "0x00000002", "1"
    assert shown.count("\t".join(("host_a-eth0", outwards, "10.0.1.2", good))) == DATAGRAMS
    assert shown.count("\t".join(("server-eth0", inwards, "203.0.113.2", good))) == DATAGRAMS
    assert len(shown) == len(packets)


def unlink(network: Network, node: str) -> None:
    with in_namespace(network.pid(node)):
        subprocess.run(["ip", "link", "delete", f"{node}-eth0"], check=True)


def captures_that_fail() -> list[str]:
    """What each of them says."""
    from natlab.capture.taps import Capture, CaptureError, Tap

    told = []
    with two_nats_network("none", "none") as network:

        def fails(kind: type[Exception], action: Callable[[], object]) -> None:
            with pytest.raises(kind) as error:
                action()
            told.append(str(error.value))

        fails(OSError, lambda: Capture([*taps(network), Tap(network.pid("server"), "eth9")]))

        with Capture(taps(network)) as running:
            fails(CaptureError, lambda: running.frames)
        fails(LabError, lambda: running.write(Path("/proc/no/room.pcapng")))

        cut = Capture(taps(network))
        unlink(network, "server")
        fails(CaptureError, cut.stop)
        cut.stop()
        fails(CaptureError, lambda: cut.frames)

        def body_fails() -> None:
            with Capture([Tap(network.pid("host_a"), "host_a-eth0")]):
                unlink(network, "host_a")
                raise KeyError("body")

        fails(KeyError, body_fails)
    return told


def test_capture_that_cannot_be_evidence_says_so() -> None:
    unknown, running, unwritten, cut, nothing, body = warm.call(50, captures_that_fail)
    assert "No such device" in unknown
    assert "first stop the capture" in running
    assert unwritten == "cannot write /proc/no/room.pcapng: No such file or directory"
    assert "capture on server-eth0 ended early" in cut
    assert nothing == running
    assert body == "'body'"


SENT = SLOTS + 500


def overflow() -> tuple[int, int]:
    from natlab.capture import taps as capture

    with two_nats_network("none", "none") as network:
        listener = capture._listen(capture.Tap(network.pid("server"), "server-eth0"))
        before = listener.ring.lost()
        with (
            udp_socket(network.pid("server"), SERVER, 7000) as server,
            udp_socket(network.pid("host_a"), "203.0.113.130") as host,
        ):
            server.settimeout(10)
            for number in range(SENT):
                host.sendto(b"%d" % number, (SERVER, 7000))
                server.recv(100)
        lost = listener.ring.lost()
        listener.close()
    return before, lost


def test_frames_that_the_kernel_dropped_are_counted() -> None:
    before, lost = warm.call(50, overflow)
    assert before == 0
    assert 0 < lost < SENT


LONG = 4000


def send_in_fragments() -> tuple[Packet, ...]:
    from natlab.capture.taps import Capture

    with two_nats_network("port-restricted-cone", "none") as network:
        with (
            Capture(taps(network)) as running,
            udp_socket(network.pid("server"), SERVER, 7000) as server,
            udp_socket(network.pid("host_a"), "10.0.1.2", 6000) as host,
        ):
            host.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
            server.settimeout(10)
            host.sendto(bytes(LONG), (SERVER, 7000))
            assert len(server.recv(LONG + 1)) == LONG
        return running.packets


_IP_MTU_DISCOVER, _PMTUDISC_DONT = 10, 0  # <linux/in.h>


def test_fragments_are_shown_as_they_were_where_they_were() -> None:
    """Linux rewrites later fragments in place, so what is read later would be the same on both sides."""
    sources: dict[str, set[str]] = {}
    for packet in warm.call(50, send_in_fragments):
        if packet.protocol is Protocol.FRAGMENT:
            sources.setdefault(packet.point, set()).add(packet.source.address)
    inside, outside = {"10.0.1.2"}, {"203.0.113.2"}
    assert sources == {
        "host_a-eth0": inside,
        "nat_a-lan": inside,
        "nat_a-wan": outside,
        "server-eth0": outside,
    }


def send_long_frame() -> tuple[Packet, ...]:
    from natlab.capture.taps import Capture, Tap

    with two_nats_network("none", "none") as network:
        for node, interface in (("server", "server-eth0"), ("internet", "internet-s")):
            argv = ["ip", "link", "set", interface, "mtu", "9000"]
            subprocess.run(["mnexec", "-a", str(network.pid(node)), *argv], check=True)
        with (
            Capture([Tap(network.pid("server"), "server-eth0")]) as running,
            udp_socket(network.pid("server"), SERVER, 7000) as server,
        ):
            server.sendto(bytes(8000), ("192.0.2.1", 7000))
        return running.packets


def test_a_frame_longer_than_a_slot_of_the_ring_is_whole() -> None:
    (packet,) = (each for each in warm.call(50, send_long_frame) if each.protocol is Protocol.UDP)
    assert len(packet.payload) == 8000


def link_goes_down_and_up() -> list[bytes]:
    """What a capture has of two datagrams, between which its link is down."""
    from natlab.capture.taps import Capture, Tap

    with two_nats_network("none", "none") as network, Programs(Path("/run")) as programs:
        faults = Faults(network, programs)
        with (
            udp_socket(network.pid("server"), SERVER, 7000) as server,
            udp_socket(network.pid("host_a"), "203.0.113.130") as host,
            Capture([Tap(network.pid("server"), "server-eth0")]) as running,
        ):
            server.settimeout(10)
            for payload in (b"before", b"after"):
                host.sendto(payload, (SERVER, 7000))
                server.recv(100)
                faults.link_down("server")
                faults.link_up("server")
        packets = [packet for packet in running.packets if packet.protocol is Protocol.UDP]
        return [packet.payload for packet in packets]


def test_a_capture_goes_on_after_a_link_was_down() -> None:
    assert warm.call(50, link_goes_down_and_up) == [b"before", b"after"]
