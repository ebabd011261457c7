"""Which ports a node's sockets hold, from the kernel's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_BOUND_STATES = {"udp": "07", "tcp": "0A"}  # TCP_CLOSE and TCP_LISTEN of include/net/tcp_states.h


def is_bound(pid: int, protocol: Literal["udp", "tcp"], port: int) -> bool:
    """Whether a socket is bound to (UDP) or listens on (TCP) `port` where process `pid` is."""
    for table in (f"/proc/{pid}/net/{protocol}", f"/proc/{pid}/net/{protocol}6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:  # no IPv6 here
            continue
        for row in rows:
            _, local, _, state, *_ = row.split()
            if state == _BOUND_STATES[protocol] and int(local.rpartition(":")[2], 16) == port:
                return True
    return False
