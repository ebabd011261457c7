"""The hop at which a datagram to the peer ends between the NATs, found by datagrams that end at each router in turn. Pure."""

from __future__ import annotations

from nat_traversal.wire.addresses import is_private
from nat_traversal.wire.opener import MOST_HOPS


class Hops:
    """The routers that have said that a datagram ended at them, by how many hops it was allowed.

    Between the NATs are those beyond this host's own, as far as one has answered: the peer's NAT, which
    takes for itself what comes to it, says nothing of the kind. `peer` is that one's address.
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._tellers: dict[int, str] = {}

    def told(self, hops: int, teller: str) -> None:
        """A datagram that was allowed so many has ended at `teller`. The first word counts."""
        if teller != self._peer:
            self._tellers.setdefault(hops, teller)

    @property
    def missing(self) -> tuple[int, ...]:
        """The counts of which nothing is known."""
        return tuple(hops for hops in range(1, MOST_HOPS + 1) if hops not in self._tellers)

    @property
    def between(self) -> int | None:
        """The count with which a datagram ends between the NATs, as far as can be told; None: no router there has answered.

        The middle of those that will do, the later of two: the way may have one router more or less for another port,
        and some NATs answer by their external address.
        """
        beyond = [hops for hops, teller in self._tellers.items() if not is_private(teller)]
        if beyond:
            return (min(beyond) + max(self._tellers) + 1) // 2
        # Carriers have routers with private addresses. The nearest one is this host's own NAT.
        farthest = max(self._tellers, default=0)
        return farthest if farthest > 1 else None
