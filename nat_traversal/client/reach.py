"""Where else the newest socket may be reached, as the server asks: host addresses, IPv6, a port of the router."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nat_traversal.client.announcer import AnnounceKey
from nat_traversal.client.control_link import ControlLink
from nat_traversal.client.phases import Announcing, Punching
from nat_traversal.client.restraint import Restraint
from nat_traversal.client.rounds import Rounds
from nat_traversal.crypto.proof import is_signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.paths.budget import Surroundings
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.knock import Knock

MOST_SAYINGS = 6
"""Times that the server hears of one port before it has knocked."""


class Reach:
    """Answers what the server asks of one peer's socket, and takes what the peer's has answered. `key`: the present
    connection's."""

    def __init__(
        self,
        link: ControlLink,
        rounds: Rounds,
        restraint: Restraint,
        settings: ClientSettings,
        key: Callable[[], AnnounceKey],
    ) -> None:
        self._link = link
        self._rounds = rounds
        self._restraint = restraint
        self._settings = settings
        self._key = key
        self._said: m.PortMapped | None = None
        """The port of the router that nobody has knocked at yet."""
        self._left = 0
        self.lacks_port = False
        """The router was asked for a port in the newest attempt, and led none here."""
        self._asked: m.OpenSocket | None = None
        """The newest order."""
        self.deadline: float | None = None
        """When to call `due`."""

    def ordered(self, order: m.OpenSocket) -> list[do.Action]:
        """The server wants to know this of the socket that it has just ordered."""
        phase = self._rounds.phase
        if not isinstance(phase, Announcing):
            return []
        actions: list[do.Action] = []
        self._asked = order
        if order.hosts or order.ipv6 or order.own_port:
            actions.append(do.FindHosts(phase.socket.generation, order.hosts, order.ipv6))
        if order.spare and not phase.method.further:
            spare = phase.method.open_spare()
            actions += [spare.open(), do.FindHosts(spare.generation, hosts=False)]
        if order.maps:
            self.lacks_port = True
            actions.append(do.MapPort(phase.socket.generation))
        return actions

    def hosts_found(
        self, found: tuple[Endpoint, ...], generation: int, port: int
    ) -> list[do.Action]:
        """This host's own addresses, and the socket's own port, as far as the server has asked for them."""
        if (beside := UdpSocket(generation)).number != generation:
            return [do.SendMessage(m.SparePort(beside.number, port))]
        asked = self._asked
        told = self._restraint.tells_hosts(found, generation)
        return [do.SendMessage(replace(told, port=port if asked and asked.own_port else 0))]

    def router_maps(self, port: int | None, generation: int, now: float) -> list[do.Action]:
        """The router says that its `port` leads to that socket: the server shall knock there."""
        self._said, self.deadline = None, None
        if port is None or self._rounds.at(generation) is None:
            return []
        self.lacks_port = False
        self._said, self._left = m.PortMapped(generation, port), MOST_SAYINGS
        return self.due(now)

    def due(self, now: float) -> list[do.Action]:
        """Ask the server to knock, until it has, or the round is over."""
        said, self.deadline = self._said, None
        in_time = said is not None and isinstance(
            self._rounds.at(said.generation), Announcing | Punching
        )
        if said is None or not in_time or not self._left or not self._link.is_registered:
            return []
        self._left -= 1
        self.deadline = now + self._settings.hello_interval
        return [do.SendMessage(said)]

    def knocked(self, knock: Knock, generation: int) -> list[do.Action]:
        """A KNOCK has come by that socket. One that is not the server's, or for another socket, is ignored."""
        said, phase = self._said, self._rounds.at(generation)
        if said is None or phase is None or not (said.generation == knock.generation == generation):
            return []
        if not is_signed(knock, self._key().key):
            return []
        self._said, self.deadline = None, None
        phase.method.is_mapped = True
        answer = m.PortMapped(generation, said.port, knock.nonce)
        return [do.SendMessage(answer), do.Tell(note.PortForwarded(said.port, generation))]

    def added(self, added: m.AddedCandidates, now: float) -> list[do.Action]:
        """The peer of a round that goes on may be reached there as well."""
        for phase in (self._rounds.phase, self._rounds.beside):
            if not isinstance(phase, Punching):
                continue
            if (phase.round.attempt, phase.round.round) == (added.attempt, added.round):
                around = Surroundings(self._link.server, phase.announcer.mapped)
                plausible = self._restraint.plausible(added.candidates, around)
                return self._rounds.carry(phase, phase.method.added(plausible, now), now)
        return []
