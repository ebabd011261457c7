"""A proxy or a port forwarding that hides all clients' addresses: seen by the server, once. Pure."""

from __future__ import annotations

from nat_traversal.machine import notices as note
from nat_traversal.wire.addresses import is_loopback, is_private
from nat_traversal.wire.source import HOST_BITS

ENOUGH = 2
"""Clients at one private address: a pair. One on loopback is enough."""


class HiddenClients:
    """Compares where clients come from with the server's address that they have reached.

    A forwarding that keeps the source is none of this: the first client with an address of its own settles it.
    """

    def __init__(self) -> None:
        self._source = ""
        self._ids: set[str] = set()
        self._is_settled = False

    def registered(self, host_id: str, source: str, via: str) -> note.ClientsHidden | None:
        """A host has registered from `source`, at the server's address `via`; empty: not known."""
        if self._is_settled or not source or not via:
            return None
        base = source.removesuffix(f"/{HOST_BITS}")
        is_local = is_loopback(base) or base == "::"
        if is_local and is_loopback(via):
            return None  # it runs beside the server
        is_hidden = is_local or (is_private(base) and not (is_private(via) or is_loopback(via)))
        if not is_hidden or self._source not in ("", source):
            self._is_settled = True
            return None
        self._source = source
        self._ids.add(host_id)
        if not is_local and len(self._ids) < ENOUGH:
            return None
        self._is_settled = True
        return note.ClientsHidden(source, via)
