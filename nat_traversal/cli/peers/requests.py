"""Answers of a running client to what its user asks by the local socket."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from nat_traversal.aio.local_socket import Answer, Request
from nat_traversal.cli.peers.peer_client import PeerClient
from nat_traversal.client.path_status import sentence

PING_WITHIN = 2.0
"""Seconds for a peer's answer."""
Reload = Callable[[], Awaitable[dict[str, Any]]]


class HasPeers(Protocol):
    """The clients of this process."""

    @property
    def peers(self) -> Mapping[str, PeerClient]:
        """By the other host's id."""


class Requests:
    """`ask` is ``status``, ``ping`` with a ``peer``, or ``reload``: the answer of anything else is an ``error``, one line."""

    def __init__(self, name: str, clients: HasPeers, reload: Reload | None = None) -> None:
        self.name = name
        """Of the local socket."""
        self._clients = clients
        self._reload = reload

    async def __call__(self, request: Request) -> Answer:
        match request.get("ask"):
            case "status":
                return self._status()
            case "ping":
                return await self._ping(str(request.get("peer", "")))
            case "reload" if self._reload is not None:
                return await self._reload()
            case "reload":
                return {"error": f"the client {self.name} runs without --config: it has no file"}
            case str(asked):
                return {"error": f"this client does not know {asked!r}: update the older side"}
        return {"error": "the request has no 'ask'"}

    def _status(self) -> dict[str, Any]:
        peers = [each.report() for each in self._clients.peers.values()]
        has_file = self._reload is not None
        return {"name": self.name, "pid": os.getpid(), "file": has_file, "peers": peers}

    async def _ping(self, name: str) -> dict[str, Any]:
        peer = self._clients.peers.get(name)
        if peer is None:
            known = ", ".join(self._clients.peers)
            return {"error": f"there is no peer {name!r} here: choose from {known}"}
        seconds = await peer.ping(PING_WITHIN)
        return {"peer": name, "seconds": seconds, "text": sentence(peer.status())}
