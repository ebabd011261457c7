"""The exchange of two hosts' public keys over a sealed path that may lose datagrams. Sans I/O.

Each side sends what it has until the other says that it heard it. The path's key is the invitation's secret, so
nobody else takes part. The guest knows the inviter's key from the invitation, and takes no other.
"""

from __future__ import annotations

import json
from typing import Any

from nat_traversal.crypto.keyfile import PUBLIC, as_text, parse_key
from nat_traversal.errors import UsageError

REPEAT = 0.3
"""Seconds between two of one's own messages, as long as the other side has not heard one."""


class Exchange:
    """One side. `own`: its public key. `expected`: the other's, if it is known before."""

    def __init__(self, own: bytes, expected: bytes | None = None) -> None:
        self._own = own
        self._expected = expected
        self.peer: bytes | None = None
        """The other side's public key, 32 octets, once it came."""
        self.heard = False
        """Whether the other side has this one's key."""

    @property
    def done(self) -> bool:
        """Whether both have both keys, as far as this side can know."""
        return self.heard and self.peer is not None

    def message(self) -> bytes:
        """The datagram to send now."""
        said = {"identity": as_text(PUBLIC, self._own), "heard": self.peer is not None}
        return json.dumps(said).encode()

    def receive(self, datagram: bytes) -> None:
        """Take a datagram of the other side. One that is no message changes nothing.

        Raises `UsageError` if the other side has another key than the invitation says.
        """
        try:
            said: Any = json.loads(datagram)
            key = parse_key(PUBLIC, said["identity"], "the other side's message")
            heard = said["heard"] is True
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
            return
        if self._expected is not None and key != self._expected:
            raise UsageError(
                "the host that answers does not have the key of this invitation: ask for a new one, "
                "over a way that nobody else reads"
            )
        if self.peer is None:
            self.peer = key
        self.heard = self.heard or heard
