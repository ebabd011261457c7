"""Answers of a running client to what its user asks by the local socket."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from nat_traversal.aio.local_socket import Answer, Request
from nat_traversal.cli.peers.supervisor import Supervisor
from nat_traversal.client.path_status import sentence

PING_WITHIN = 2.0
"""Seconds for a peer's answer."""
Reload = Callable[[], Awaitable[dict[str, Any]]]


class Requests:
    """`ask` is ``status``, ``ping`` with a ``peer``, or ``reload``: the answer of anything else is an ``error``, one line."""

    def __init__(self, name: str, supervisor: Supervisor, reload: Reload | None = None) -> None:
        self._name = name
        self._supervisor = supervisor
        self._reload = reload

    async def __call__(self, request: Request) -> Answer:
        match request.get("ask"):
            case "status":
                return self._status()
            case "ping":
                return await self._ping(str(request.get("peer", "")))
            case "reload" if self._reload is not None:
                return await self._reload()
            case str(asked):
                return {"error": f"this client does not know {asked!r}: update the older side"}
        return {"error": "the request has no 'ask'"}

    def _status(self) -> dict[str, Any]:
        peers = [each.report() for each in self._supervisor.peers.values()]
        return {"name": self._name, "pid": os.getpid(), "peers": peers}

    async def _ping(self, name: str) -> dict[str, Any]:
        peer = self._supervisor.peers.get(name)
        if peer is None:
            known = ", ".join(self._supervisor.peers)
            return {"error": f"there is no peer {name!r} here: choose from {known}"}
        seconds = await peer.ping(PING_WITHIN)
        return {"peer": name, "seconds": seconds, "text": sentence(peer.status())}
