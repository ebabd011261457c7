"""A second socket at the port of a connected one: it hears what comes from elsewhere, which the kernel keeps from the first."""

from __future__ import annotations

import logging
import socket

log = logging.getLogger(__name__)


def ear_of(
    sock: socket.socket, at: tuple[str, int] | tuple[str, int, int, int], buffer: int
) -> socket.socket | None:
    """A socket at `at`, with the port of `sock`, which is connected. `buffer`: octets asked of the kernel for each
    direction. None where the kernel gives none.

    Both may share the port only while this runs: otherwise any program could join them.
    """
    ear = socket.socket(sock.family, socket.SOCK_DGRAM)
    try:
        ear.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            ear.setsockopt(socket.SOL_SOCKET, option, buffer)
        for each in (sock, ear):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.bind(at)
        for each in (sock, ear):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        log.debug("nothing is heard from elsewhere: %s", error)
        ear.close()
        return None
    return ear
