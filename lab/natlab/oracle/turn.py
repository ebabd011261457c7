"""Whether a TURN server of one of two hosts carries their datagrams: worked out on the NAT model alone. Pure.

The host's own NAT only has to let it out to its TURN server. The other host sends first, from a fresh socket, to the
relayed address, and comes in there if its address is the one at which the traversal server saw it (RFC 8656 section 9).
"""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.turn import PORT
from natlab.behavior import Pooling
from natlab.oracle.methods.ordered_hello import ModelHost, model_hosts

TURN = Endpoint("192.0.2.254", PORT)
"""The TURN server of either host."""
RELAYED = Endpoint(TURN.address, 50_000)
"""An address that it relays at: the port may be any."""
WHO = {"a": ("host_a",), "b": ("host_b",), "both": ("host_a", "host_b")}


@dataclass(frozen=True, slots=True)
class Turn:
    """The hosts of a cell that have a TURN server, in the order in which these are tried, and the way to it."""

    hosts: tuple[str, ...]
    by_tcp: bool = False

    def __str__(self) -> str:
        return f"{' and '.join(self.hosts)}, by {'tcp' if self.by_tcp else 'udp'}"


def parse_turn(text: str) -> Turn:
    """``a``, ``b`` or ``both``, and ``,tcp``. Raises `UsageError`."""
    who, comma, transport = text.partition(",")
    if who not in WHO or (comma and transport not in ("udp", "tcp")):
        raise UsageError(f"{text!r} is no TURN server: give a, b or both, with ,tcp as in both,tcp")
    return Turn(WHO[who], by_tcp=transport == "tcp")


def turn_of(nat_a: str, nat_b: str, turn: Turn) -> str | None:
    """The first host whose TURN server carries the pair; None: neither does.

    Raises `UsageError` for a name that is no preset, and for a NAT of which the model cannot tell.
    """
    for own in turn.hosts:
        hosts = model_hosts(nat_a, nat_b)
        host = hosts.pop(own)
        (peer,) = hosts.values()
        behavior = peer.nat.behavior
        if behavior and behavior.addresses > 1 and behavior.pooling is not Pooling.PAIRED:
            raise UsageError(
                f"the NAT of {peer.name} gives each mapping the next of its addresses, of which a TURN server "
                "lets in only one: the model cannot tell which comes"
            )
        if not (host.is_mute and not turn.by_tcp) and _comes_in(peer):
            return own
    return None


def _comes_in(peer: ModelHost) -> bool:
    """Whether its datagrams reach the relayed address, and the answers reach it."""
    if peer.is_mute:
        return False
    peer.open_socket(1)
    shown = peer.nat.outbound(peer.socket, RELAYED)
    return peer.nat.inbound(RELAYED, shown) == peer.socket
