"""Where this process takes local programs' datagrams: no peer is there, whoever says so.

A HELLO that came to such a port would count as a program's, and go to the peer. A hostile peer could answer it by that
very way, and so lead the path into the port: each frame would then be a datagram for a further one, without end.
"""

from __future__ import annotations

import socket

from nat_traversal.aio.packet_io import family_of, wildcard
from nat_traversal.wire.endpoint import Endpoint

_listening: dict[int, list[Endpoint]] = {}


def begun(at: Endpoint) -> None:
    """A socket for local programs is bound there."""
    _listening.setdefault(at.port, []).append(at)


def ended(at: Endpoint) -> None:
    """It is closed."""
    _listening[at.port].remove(at)
    if not _listening[at.port]:
        del _listening[at.port]


def has(remote: Endpoint) -> bool:
    """Whether what goes there would come to one of them."""
    for at in _listening.get(remote.port, ()):
        everywhere = at.address in {wildcard(remote.family).address, wildcard(6).address}
        if at.address == remote.address or (everywhere and _is_here(remote.address)):
            return True
    return False


def _is_here(address: str) -> bool:
    """Whether this host has that address."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
        return True
