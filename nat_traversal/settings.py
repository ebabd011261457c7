"""What a user or an operator may change."""

from __future__ import annotations

from dataclasses import dataclass

IDLE = 120.0
"""Seconds after which a silent flow is forgotten (RFC 4787 section 4.3 has 2 minutes as the least)."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What an operator may change. `heartbeat` in seconds (0.1 to 3600)."""

    connections: int = 4096
    heartbeat: float = 20.0
