"""One end of a control connection, said word by word by an attacker."""

from __future__ import annotations

import os
import socket

from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.lines import LineDecoder
from nat_traversal.wire.offers import Offer, Suite, Trust

WITHIN = 20.0


class Line:
    """Messages over a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(WITHIN)
        self._decoder = LineDecoder()
        self._read: list[m.Message | m.UnknownMessage] = []

    @classmethod
    def to(cls, server: Endpoint) -> Line:
        return cls(socket.create_connection(server.sockaddr, timeout=WITHIN))

    def say(self, *messages: m.Message) -> None:
        self.sock.sendall(b"".join(map(control.encode, messages)))

    def next(self) -> m.Message | m.UnknownMessage | None:
        """The next message; None at the end."""
        while not self._read:
            try:
                data = self.sock.recv(65_536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._read += self._decoder.feed(data)
        return self._read.pop(0)

    def refusal(self) -> str:
        """The code with which the server refuses; empty if it takes the host, or says nothing."""
        while True:
            message = self.next()
            if message is None or isinstance(message, m.Registered):
                return ""
            if isinstance(message, m.Refused):
                return message.code


def registration(host_id: str, peer_id: str, key: bytes = b"", owner: bytes = b"") -> m.Register:
    """One with everything that a client without keys of its own says."""
    offer = Offer(os.urandom(16), os.urandom(32), b"", Trust.SERVER, (Suite.AES_256_GCM,))
    key = key or os.urandom(32)
    return m.Register(1, (2,), host_id, peer_id, key, 1, offer, owner=owner or os.urandom(32))
