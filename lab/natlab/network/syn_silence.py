"""Six seconds of silence for a SYN that is not let in (RFC 5382 REQ-4): a process on a NAT.

The rules drop such SYNs, and tell of them by a log group of the kernel (nfnetlink_log), as of those that the
inside sends. This answers each with ICMP port unreachable once `_HELD_FOR` seconds have passed, unless the
inside has sent one to there meanwhile. The process reads this file alone, so that it starts at once.
"""

import os
import select
import socket
import struct
import sys
import time
from collections import deque

_HELD_FOR = 6.0
_NETFILTER = 12  # linux/netlink.h
_REQUEST, _ACKNOWLEDGE = 0x1, 0x4
_LOG_PACKET, _LOG_CONFIG = 0x400, 0x401  # NFNL_SUBSYS_ULOG << 8, linux/netfilter/nfnetlink_log.h
_COMMAND, _BIND, _MODE, _WHOLE_PACKETS = 1, 1, 2, 2
_PACKET, _PAYLOAD = 1, 9
_HEADER = struct.Struct("=IHHII")
_ICMP_PORT_UNREACHABLE = (3, 3)
_QUOTED = 28
"""Octets of the SYN in the error: the IP header and eight more (RFC 792)."""
_LOCAL_IN = 1  # NF_INET_LOCAL_IN


def _open_log(group: int) -> socket.socket:
    """Hears of the packets of a log group. Raises `OSError`."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
    settings = (
        (_COMMAND, struct.pack("=B", _BIND)),
        (_MODE, struct.pack("!IBB", 0, _WHOLE_PACKETS, 0)),
    )
    for kind, value in settings:
        attribute = struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, group) + attribute
        head = _HEADER.pack(_HEADER.size + len(body), _LOG_CONFIG, _REQUEST | _ACKNOWLEDGE, 0, 0)
        opened.send(head + body)
        (error,) = struct.unpack_from("=i", opened.recv(4096), _HEADER.size)
        if error:
            raise OSError(-error, f"log group {group}: {os.strerror(-error)}")
    return opened


def _packets(octets: bytes) -> list[tuple[int, bytes]]:
    """The hook and the IP packet of each message of the kernel."""
    found = []
    while len(octets) >= _HEADER.size:
        hook = 0
        length, kind, *_ = _HEADER.unpack_from(octets)
        message, octets = octets[_HEADER.size + 4 : length], octets[length + -length % 4 :]
        while kind == _LOG_PACKET and len(message) >= 4:
            size, name = struct.unpack_from("=HH", message)
            if name == _PACKET:
                hook = message[6]
            if name == _PAYLOAD:
                found.append((hook, message[4:size]))
            message = message[size + -size % 4 :]
    return found


def _ends(packet: bytes) -> tuple[bytes, bytes]:
    """The address and port from which, and to which, a TCP segment goes."""
    ports = 4 * (packet[0] & 0xF)
    return (
        packet[12:16] + packet[ports : ports + 2],
        packet[16:20] + packet[ports + 2 : ports + 4],
    )


def _error_about(packet: bytes) -> bytes:
    """The ICMP message: port unreachable (RFC 792)."""
    message = struct.pack("!BBHI", *_ICMP_PORT_UNREACHABLE, 0, 0) + packet[:_QUOTED]
    total = sum(word for (word,) in struct.iter_unpack("!H", message))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return message[:2] + struct.pack("!H", checksum) + message[4:]


def _hold(log: socket.socket) -> None:
    """Until stdin ends."""
    held: deque[tuple[float, bytes]] = deque()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        while True:
            wait = max(0.0, held[0][0] - time.monotonic()) if held else None
            readable, _, _ = select.select([log, sys.stdin], [], [], wait)
            if sys.stdin in readable:
                return
            for hook, packet in _packets(log.recv(65_536)) if log in readable else ():
                if hook == _LOCAL_IN:
                    held.append((time.monotonic() + _HELD_FOR, packet))
                    continue
                # The inside connects: what came from there is dropped in silence.
                source, target = _ends(packet)
                held = deque(each for each in held if _ends(each[1]) != (target, source))
            while held and held[0][0] <= time.monotonic():
                _, packet = held.popleft()
                try:
                    icmp.sendto(_error_about(packet), (socket.inet_ntoa(packet[12:16]), 0))
                except OSError:
                    continue  # as any router's: its link is down, say


if __name__ == "__main__":
    with _open_log(int(sys.argv[1])) as opened:
        print("ready", flush=True)
        _hold(opened)
