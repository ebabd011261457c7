"""The server's word about the peer's presence, in notices for the user."""

from __future__ import annotations

from nat_traversal.client.control_link import Identity
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m


def notices_of(status: m.PeerStatus, own: Identity) -> list[note.Notice]:
    """All that a user can conclude from `status` about the peer of `own`."""
    told: list[note.Notice] = [note.PeerSeen(own.peer, status.state)]
    if status.state is m.PeerState.PRESENT and not own.serves.meets(status.serves):
        told.append(note.SidesAlike(own.peer, own.serves))
    return told
