"""The state of the connection to the server, as one value at any time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nat_traversal.wire.endpoint import Endpoint


class ServerState(StrEnum):
    """Named by what the client has, or waits for."""

    REGISTERED = "registered"
    CONNECTING = "connecting"  # the TCP connection, and TLS
    REGISTERING = "registering"  # the answer to the registration
    PAUSING = "pausing"  # the next try
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The connection at one moment."""

    state: ServerState
    address: Endpoint | None
    """The server's end, if this connection or the last one has shown it."""
    seconds: float
    """For so long `state` has lasted."""
    reason: str = ""
    """Why the last connection failed or ended; empty once the server has answered again."""
    retry_in: float | None = None
    """Seconds until the next try; None: none is waited for."""
    remedy: str = ""
    """The change that would mend it, a clause; empty: `reason` says that too, or none is needed."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `json`."""
        return {
            "state": str(self.state),
            "address": None if self.address is None else str(self.address),
            "seconds": round(self.seconds, 3),
            "reason": self.reason or None,
            "remedy": self.remedy or None,
            "retry_in": None if self.retry_in is None else round(self.retry_in, 3),
        }
