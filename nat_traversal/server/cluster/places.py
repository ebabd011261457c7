"""The addresses of a server at which clients of other servers reach it: for its relay.

Each client's connection tells where it has come to, as the kernel says it. So nobody can make a server name an address that is
not its own.
"""

from __future__ import annotations

from nat_traversal.wire.addresses import is_link_local, is_loopback, is_private
from nat_traversal.wire.endpoint import Endpoint

_LOOPBACK, _PRIVATE, _PUBLIC = range(3)
"""A host that can use an address can use those of the wider kinds as well."""


class Places:
    """Of one server. `told`: where it is reached from outside, if somebody has said so."""

    def __init__(self, told: Endpoint | None = None) -> None:
        self._told = told
        self._known: dict[tuple[int, int], Endpoint] = {}
        """The last of each IP version and kind."""

    def learn(self, place: Endpoint) -> None:
        """A client has connected to it."""
        if not is_link_local(place.address):
            self._known[place.family, _kind(place.address)] = place

    def of(self, via: str) -> Endpoint | None:
        """Where a client reaches this server that has reached its own at `via`. Empty: it has not said that. None: nowhere, as far as is
        known."""
        families = (Endpoint(via, 0).family,) if via else (4, 6)
        least = _kind(via) if via else _PUBLIC
        if least == _PUBLIC and self._told is not None and self._told.family in families:
            return self._told
        kinds = range(least, _PUBLIC + 1)
        found = (self._known.get((family, kind)) for family in families for kind in kinds)
        return next((each for each in found if each is not None), None)


def _kind(address: str) -> int:
    if is_loopback(address):
        return _LOOPBACK
    return _PRIVATE if is_private(address) else _PUBLIC
