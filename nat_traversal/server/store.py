"""The store of a server: holders of ids, signals between hosts, requests and answers; one in memory.

The machine asks with actions (`StoreRequest`) and hears the answers as events (`StoreAnswer`). It
takes them whenever they come: a request may be answered at once, or after a round trip to a store
that several servers share. A request that fails is not answered; the lease runs out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nat_traversal.machine.events import ConnectionId
from nat_traversal.server.trunks import trunk_of


@dataclass(frozen=True, slots=True)
class Holder:
    """A registration: the control connection that holds an id, or wants to."""

    id: str
    peer: str
    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """The peer that the receiver wants has gone."""

    peer: str


Signal = PeerLeft


# Requests


@dataclass(frozen=True, slots=True)
class Claim:
    """`holder` wants its id, for `lease` seconds; again, before these are over, to keep it.

    The answer is `Claimed` or `Held`.
    """

    holder: Holder
    lease: float


@dataclass(frozen=True, slots=True)
class Release:
    """`holder` gives its id back. Nothing happens if another holds it. No answer."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class LookUp:
    """`asker` wants to know who holds `id`. The answer is `LookedUp`."""

    id: str
    asker: Holder


@dataclass(frozen=True, slots=True)
class Publish:
    """Send `signal` to the holder of `id`. Its server hears `Signalled`; nobody does if nobody holds it."""

    id: str
    signal: Signal


StoreRequest = Claim | Release | LookUp | Publish


# Answers


@dataclass(frozen=True, slots=True)
class Claimed:
    """The id is `holder`'s until its lease is over."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class Held:
    """The id that `claimant` wants is `holder`'s."""

    claimant: Holder
    holder: Holder


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The answer to a `LookUp`: `found` holds the id, or nobody does."""

    asker: Holder
    found: Holder | None


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal came for `holder`."""

    holder: Holder
    signal: Signal


StoreAnswer = Claimed | Held | LookedUp | Signalled


class Store(Protocol):
    """A store that answers at once."""

    def handle(self, request: StoreRequest, now: float) -> list[StoreAnswer]:
        """The answers to one request, in order."""


class MemoryStore:
    """One server's store: a table that is gone with the process. The server gives back every id whose connection ends, so
    no lease runs out here: not even where the whole host was suspended for longer than that."""

    def __init__(self) -> None:
        self._holders: dict[str, dict[str, Holder]] = {}
        """Of each id, those on one connection, by the peer that each wants."""

    def handle(self, request: StoreRequest, now: float) -> list[StoreAnswer]:
        """The answers to one request, in order."""
        del now
        match request:
            case Claim(holder):
                present = self._rival(holder)
                if present is not None:
                    return [Held(holder, present)]
                self._holders.setdefault(holder.id, {})[holder.peer] = holder
                return [Claimed(holder)]
            case Release(holder):
                those = self._holders.get(holder.id, {})
                if those.get(holder.peer) == holder:
                    del those[holder.peer]
                    if not those:
                        del self._holders[holder.id]
                return []
            case LookUp(id_, asker):
                return [LookedUp(asker, self._holders.get(id_, {}).get(asker.id))]
            case Publish(id_, signal):
                receiver = self._holders.get(id_, {}).get(signal.peer)
                return [] if receiver is None else [Signalled(receiver, signal)]

    def _rival(self, claimant: Holder) -> Holder | None:
        """One that has the id on another connection, or for the same peer."""
        trunk = trunk_of(claimant.connection)
        for peer, holder in self._holders.get(claimant.id, {}).items():
            is_other = peer == claimant.peer or trunk_of(holder.connection) != trunk
            if is_other and holder != claimant:
                return holder
        return None
