"""One way of a host to its peer through a relay, the server's or a TURN server's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nat_traversal.client.security import RoundKeys
from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.paths.methods.relay import Relay
from nat_traversal.paths.methods.turn import Turn
from nat_traversal.paths.path import Path
from nat_traversal.wire import messages as m


@dataclass(eq=False, slots=True)
class Leg:
    """This host's way to one relay, and the path through it once that stands."""

    order: m.OpenRelay | m.OpenTurn
    socket: UdpSocket
    method: Relay | Turn
    keys: RoundKeys
    connection: bytes = field(repr=False)
    until: float
    """When to give up, unless the path stands by then."""
    make_method: Callable[[UdpSocket], Relay] | None = None
    """For a connection in the place of the socket."""
    path: Path | None = None
    closes_at: float | None = None
    """When this way, which carries nothing any more, is closed."""
    joins_at: float | None = None
    """When to try TCP beside UDP, unless the server has answered by then."""
    stream: UdpSocket | None = None
    """The connection that is being made."""
    is_of_the_past: bool = False
    """The connection to the server on which it was ordered has ended: the next server may number another relay so."""
    opens_at: float | None = None
    """When to try again to open the socket, for which there was no room."""

    @property
    def deadline(self) -> float:
        """When something of it is due."""
        times = [self.until, self.joins_at, self.opens_at, self.method.deadline]
        if self.path is not None:
            times = [self.path.deadline]
        return min([each for each in [*times, self.closes_at] if each is not None])

    def close(self) -> list[do.Action]:
        """Its socket, and the connection that is being made."""
        return [each.close() for each in (self.socket, self.stream) if each is not None]
