"""Whether a host answers an ICMP echo, where the kernel lets programs without privileges ask (Linux, icmp(7))."""

from __future__ import annotations

import asyncio
import socket
import struct

from nat_traversal.aio.packet_io import family_of

_ECHO, _ECHO_6 = 8, 128
"""Types of the request (RFC 792, RFC 4443). The kernel fills in checksum and identifier."""


async def ping(address: str, interval: float, tries: int) -> bool | None:
    """Ask `tries` times, `interval` seconds apart. None: this host lets no such program ping."""
    family = family_of(address)
    is_ipv6 = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if is_ipv6 else socket.IPPROTO_ICMP
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM, protocol)
    except OSError:
        return None
    loop = asyncio.get_running_loop()
    with sock:
        sock.setblocking(False)
        for number in range(tries):
            request = struct.pack("!BBHHH", _ECHO_6 if is_ipv6 else _ECHO, 0, 0, 0, number)
            try:
                sock.sendto(request, (address, 0))
                async with asyncio.timeout(interval):
                    await loop.sock_recv(sock, 1024)
            except (OSError, TimeoutError):
                continue
            return True
    return False
