"""Limits that a client keeps whatever the server orders and the peer says: no host becomes a weapon against others.

`TrafficBudget` bounds the datagrams of one attempt, `Pace` how often anything begins, and the rules of
addresses tell where nothing may ever go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nat_traversal.wire.addresses import (
    is_link_local,
    is_loopback,
    is_private,
    is_usable,
    same_private_network,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate

MOST_DATAGRAMS = 90
"""Of the handshake, to one IP address in one attempt: the longest honest one takes 84."""
MOST_OCTETS = 100
"""Of one datagram of the handshake."""
UNVALIDATED_DATAGRAMS = 10
"""Until the address has shown that somebody listens there for us (RFC 9000 section 8 calls it validated)."""
UNVALIDATED_OCTETS = 1_000
OPENING_DATAGRAMS = 5
"""Of these, before the peer was heard: the rest is for the words that carry the proof."""
MOST_ADDRESSES = 16
"""IP addresses in one attempt: 8 candidates, and as many others from which the peer speaks."""
MOST_HOSTS = 4
"""Host addresses that a client tells."""
SOCKET_BURST = 6
"""Two for each of the attempts that may begin at once."""
SOCKET_INTERVAL = 1.0
"""Seconds between fresh sockets on the server's order, once the burst is used up."""
ATTEMPT_BURST = 3
RELAY_BURST = 3
"""Relays at other servers, and by TURN. The next may follow when the first of them has had its time."""
ROUND_WITHIN = 60.0
"""Seconds of a round: the longest that a server gives lasts 50."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A client's own knowledge of where it stands in the network."""

    server: Endpoint | None = None
    """The server's end of the control connection; None where it is not known."""
    mapped: Endpoint | None = None
    """Where the server sees the client's socket."""
    hosts: tuple[Endpoint, ...] = ()
    """This host's own addresses that the peer was told, since both are seen at one address."""

    def forbids(self, candidate: Endpoint) -> str | None:
        """Why no honest server names `candidate`, in words; None if one may."""
        address = candidate.address
        if not is_usable(address) or not candidate.port:
            return "no host can be there"
        if is_link_local(address):
            return "it is link-local"
        if is_loopback(address) and not (self.server and self.server.is_loopback):
            return "it is this host itself"
        if candidate == self.server:
            return "it is the server's own port"
        return None

    def makes_plausible(self, candidate: Endpoint) -> bool:
        """Whether the peer may be at `candidate`. A private address means a host in this network, which
        has nothing to do with the peer unless the server or this host is seen at a private address too."""
        if not is_private(candidate.address):
            return True
        if any(same_private_network(candidate.address, each.address) for each in self.hosts):
            return True
        known = (self.server, self.mapped)
        return any(each and (each.is_loopback or is_private(each.address)) for each in known)

    def meets(self, candidates: Iterable[Candidate]) -> bool:
        """Whether the server sees the peer at this host's very address."""
        mapped = self.mapped
        return mapped is not None and any(
            each.kind == "srflx" and each.endpoint.address == mapped.address for each in candidates
        )


class TrafficBudget:
    """The datagrams of one attempt's handshake, by the IP address that they go to."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[int, int]] = {}
        """Datagrams and octets."""
        self._validated: set[str] = set()
        self.is_spent = False
        """More was wanted than any honest attempt needs."""

    def validate(self, address: str) -> None:
        """Somebody at `address` has answered: the server's question there, or this host's own."""
        self._validated.add(address)

    def is_validated(self, address: str) -> bool:
        """Whether somebody there has answered."""
        return address in self._validated

    def is_left(self, destination: Endpoint) -> bool:
        """Whether one more datagram to that address is within the attempt's bound."""
        sent, _ = self._sent.get(destination.address, (0, 0))
        return sent < MOST_DATAGRAMS

    def take(self, destination: Endpoint, octets: int, *, is_opening: bool) -> bool:
        """Whether a datagram may go there. `is_opening`: the peer has not been heard in this round."""
        address = destination.address
        if octets > MOST_OCTETS or (
            address not in self._sent and len(self._sent) >= MOST_ADDRESSES
        ):
            self.is_spent = True
            return False
        datagrams, sum_ = self._sent.get(address, (0, 0))
        if datagrams >= MOST_DATAGRAMS:
            self.is_spent = True
            return False
        if address not in self._validated:
            most = OPENING_DATAGRAMS if is_opening else UNVALIDATED_DATAGRAMS
            if datagrams >= most or sum_ + octets > UNVALIDATED_OCTETS:
                return False
        self._sent[address] = (datagrams + 1, sum_ + octets)
        return True


class Remainder(TrafficBudget):
    """The rest of `whole`, for words that may stay unsaid: nothing goes beyond it, and that is no lie of the server."""

    def __init__(self, whole: TrafficBudget) -> None:
        super().__init__()
        self._whole = whole

    def validate(self, address: str) -> None:
        """Somebody at `address` has answered."""
        self._whole.validate(address)

    def take(self, destination: Endpoint, octets: int, *, is_opening: bool) -> bool:
        """Whether a datagram may go there."""
        is_there = self._whole.is_left(destination)
        return is_there and self._whole.take(destination, octets, is_opening=is_opening)


class Pace:
    """A token bucket: `burst` at once, then one each `interval` seconds."""

    def __init__(self, burst: int, interval: float) -> None:
        self._burst = burst
        self._interval = interval
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> float:
        """0 if one may begin now, which is then taken; else the seconds until one may."""
        self._refill(now)
        if self._left < 1.0 - 1e-9:
            return (1.0 - self._left) * self._interval
        self._left -= 1.0
        return 0.0

    def give_back(self, count: int) -> None:
        """So many that were taken do not count."""
        self._left = min(self._burst, self._left + count)

    def change(self, interval: float, now: float) -> None:
        """From now on `interval` counts."""
        self._refill(now)
        self._interval = interval

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) / self._interval)
        self._at = now
