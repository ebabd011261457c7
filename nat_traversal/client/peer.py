"""One remote host at a client: the direct way to it, the relayed one, and which of them carries.

Programs' datagrams take the direct path as soon as it is known to carry them, else the relayed one. The way
that they left receives for a while longer, so that none is lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from nat_traversal.client.carrying import Carrying
from nat_traversal.client.control_link import ControlLink, Identity
from nat_traversal.client.direct import Direct
from nat_traversal.client.explaining import Explaining
from nat_traversal.client.path_status import PathStatus, Story
from nat_traversal.client.peer_status import notices_of
from nat_traversal.client.phases import PathState
from nat_traversal.client.relayed import Relayed
from nat_traversal.client.renewal import Renewal
from nat_traversal.client.restraint import Breach
from nat_traversal.client.router_watch import RouterWatch
from nat_traversal.client.security import Security
from nat_traversal.client.services import PeerServices
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import Sockets
from nat_traversal.machine.timers import Following, Timers
from nat_traversal.paths.consent import Reason
from nat_traversal.paths.probing import Probes
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.nat_facts import NatFacts
from nat_traversal.wire.services import ServiceOffer

FOLLOWED = ("relay", "renew", "hold", "router")
"""The timers that are where deadlines of a peer's parts are, but for those of its direct way."""


class Peer:
    """The remote host `identity.peer`. Owns the timers ``(its id, name)`` of the agent's `Timers`.

    `once`: close after the first failed attempt, or when the last path is lost. The agent ends with its
    peers, and calls `settle` after each event.
    """

    def __init__(
        self,
        identity: Identity,
        settings: ClientSettings,
        security: Security,
        *,
        instance: bytes,
        link: ControlLink,
        sockets: Sockets,
        timers: Timers,
        rng: random.Random,
        once: bool,
        relaying: m.Relaying,
        may_join: bool,
        turn: m.TurnPart = m.TurnPart.NEVER,
        probes: Probes | None = None,
        services: Iterable[ServiceOffer] = (),
        certificate: bytes = b"",
    ) -> None:
        self.id = identity.peer
        self._identity = identity
        self._settings = settings
        self._link = link
        self._timers = timers
        self._once = once
        self.direct = Direct(
            identity,
            settings,
            security,
            instance=instance,
            link=link,
            sockets=sockets,
            timers=timers,
            rng=rng,
            once=once,
            probes=probes,
            has_other=self._is_relayed,
        )
        self.relayed = Relayed(
            identity,
            settings,
            security,
            relaying=relaying,
            may_join=may_join,
            turn=turn,
            instance=instance,
            sockets=sockets,
            rng=rng,
            may_speak=self._may_speak,
            is_first=self._has_none,
        )
        self._carrying = Carrying(self.direct, self.relayed, settings)
        self.story = Story(self.id, identity.id)
        """The agent tells it every notice."""
        self.services = PeerServices(self.id, services, certificate)
        self.renewal = Renewal(settings, is_second=identity.peer < identity.id)
        self._router = RouterWatch(settings)
        self.explaining = Explaining(self.id, self.story, timers, settings)
        self._following = Following(timers, [(self.id, name) for name in FOLLOWED])

    @property
    def state(self) -> PathState:
        """Of the direct way."""
        return self.direct.rounds.state

    @property
    def has_path(self) -> bool:
        """Programs' datagrams have a way."""
        return self._carrying.path is not None

    def status(self, now: float) -> PathStatus:
        """The path of now, and why there is no better one."""
        return self.story.status(self._carrying.path, self._carrying.since, now)

    def ask(self, now: float) -> list[do.Action]:
        """Ping the peer on the path of now, if there is one."""
        return [] if self._carrying.path is None else self._carrying.path.ask(now)

    def _is_relayed(self) -> bool:
        return self.relayed.is_open

    def _may_speak(self) -> bool:
        return self._link.may_speak

    def _has_none(self) -> bool:
        return not self.has_path

    def owns(self, generation: int) -> bool:
        """Whether the open socket of that number is this peer's."""
        return self.direct.rounds.owns(generation) or self.relayed.owns(generation)

    def take_breach(self) -> Breach | None:
        """The server's order that no honest one gives, once; None if there was none."""
        return self.direct.take_breach()

    # The control link, as the agent sees it

    def link_opened(self, now: float) -> list[do.Action]:
        """The connection stands: register."""
        return self.direct.link_opened(self.relayed.wish, now)

    def link_accepted(self, now: float) -> list[do.Action]:
        """The server has answered the registration."""
        return [*self.direct.link_accepted(now), *self.explaining.for_server()]

    def nat_found(self, facts: NatFacts) -> list[do.Action]:
        """This host's NAT is known, as far as the server can tell."""
        self.explaining.found(facts)
        return self.explaining.for_server() if self._link.is_registered else []

    def link_lost(self) -> list[do.Action]:
        """There is no server for now: paths stay, all else waits."""
        self._timers.cancel((self.id, "missing"))
        self.relayed.link_lost()
        return self.direct.link_lost()

    def ordered(self, message: m.Message | m.UnknownMessage, now: float) -> list[do.Action]:
        """The server said something about this peer."""
        match message:
            case m.OpenRelay() if not self.direct.allows_relay(message, now):
                return []
            case m.OpenRelay():
                key, silent = self.direct.announce_key.key, self.direct.rounds.udp_is_silent(now)
                return self.relayed.ordered(message, key, now, udp_is_silent=silent)
            case m.RelayNews():
                return self.relayed.news(message)
            case m.OpenTurn(candidates=own) if own and not self.direct.allows_turn(None, now):
                return []
            case m.OpenTurn():
                return self.relayed.turn_ordered(message, now)
            case m.TurnAddress(candidate=there):
                may = self.direct.allows_turn(there.endpoint, now)
                return self.relayed.turn_told(message, now, may_be_there=may)
            case m.PeerStatus():
                return self._peer_status(message, now)
            case m.Mismatch(theirs):
                self._timers.cancel((self.id, "missing"))
                return self.direct.mismatched(theirs, now)
            case m.StartRound(peer=theirs):
                return self.relayed.met(theirs.instance, now) + self.direct.ordered(message, now)
            case m.ServiceState(up):
                return [do.Tell(note.ServiceAtPeer(self.id, up))]
        return self.direct.ordered(message, now)

    def _peer_status(self, status: m.PeerStatus, now: float) -> list[do.Action]:
        if status.asked_by:
            return [do.Tell(note.AskedBy(status.asked_by, self.id))]
        actions: list[do.Action] = [do.Tell(told) for told in notices_of(status, self._identity)]
        if status.state is m.PeerState.ABSENT:
            self._timers.set((self.id, "missing"), now + self._settings.missing_after)
        else:
            self._timers.cancel((self.id, "missing"))
        if status.state is m.PeerState.LEFT:
            actions += self.relayed.peer_left(now) + self.direct.peer_left(now)
        return actions

    # Datagrams, time, the end

    def arrived(
        self, datagram: datagrams.Datagram, source: Endpoint, generation: int, now: float
    ) -> list[do.Action]:
        """A datagram came in by this peer's socket of that number."""
        if self.relayed.owns(generation):
            return self.relayed.arrived(datagram, source, generation, now)
        return self.direct.arrived(datagram, source, generation, now)

    def failed(self, action: object, reason: str, now: float) -> list[do.Action]:
        """An action of a socket of this peer could not be carried out."""
        match action:
            case (
                do.OpenUdp(generation) | do.SendDatagram(_, _, generation) | do.UsePath(generation)
            ) if self.direct.rounds.owns(generation):
                return self.direct.failed(action, reason, now)
            case do.OpenUdp(generation) | do.UsePath(generation):
                return self.relayed.failed(generation, reason, now)
        return []

    def frame_opened(
        self, kind: Kind, plain: bytes, generation: int, now: float, source: Endpoint | None = None
    ) -> list[do.Action]:
        """An authentic frame came on a path of this peer, which is none of a program's."""
        path = self.relayed.path_at(generation)
        if path is not None:
            actions = path.frame_opened(kind, plain, now)
            return actions + self.services.heard(path, now) + self.relayed.ended()
        path = self.direct.rounds.path_at(generation)
        actions = self.direct.frame_opened(kind, plain, generation, now, source)
        return actions if path is None else actions + self.services.heard(path, now)

    def router_maps(self, port: int | None, generation: int, now: float) -> list[do.Action]:
        """The router says that its `port` leads to that socket. If that is a relayed path's, it has begun to map ports."""
        if not self.relayed.owns(generation):
            return self.direct.reach.router_maps(port, generation, now)
        if port is not None and self._timers.is_set((self.id, "retry")):
            self.direct.woke(now)
        return []

    def elsewhere(self, event: e.PeerElsewhere, now: float) -> None:
        """This peer's newest frame has come from another address than the path's."""
        path = self.direct.rounds.path_at(event.generation)
        if path is not None:
            path.elsewhere(event.source, event.kind, now)

    def frame_refused(self, size: int, generation: int, now: float) -> list[do.Action]:
        """A frame of this peer's path was too long for this host's own network."""
        path = self.relayed.path_at(generation) or self.direct.rounds.path_at(generation)
        return [] if path is None else path.frame_refused(size, now)

    def larger_sent(self, generation: int, now: float) -> None:
        """Frames above the base size flow to this peer."""
        path = self.relayed.path_at(generation) or self.direct.rounds.path_at(generation)
        if path is not None:
            path.larger_sent(now)

    def offered(self, generation: int, now: float) -> None:
        """Programs' datagrams leave on that path of this peer."""
        path = self.relayed.path_at(generation) or self.direct.rounds.path_at(generation)
        if path is not None:
            path.offered(now)

    def timer_fired(self, name: str, now: float) -> list[do.Action]:
        """One of this peer's timers is due."""
        if name == "explain":
            return self.explaining.due()
        self._following.fired()
        if name == "renew":
            self.renewal.taken()
            return self.direct.seek(now)
        if name == "router":
            return self._router.due(self.relayed.paths[-1].generation, now)
        if name == "hold":
            return []  # `settle` looks
        if name == "missing":
            missing = note.PeerMissing(self.id, self._identity.id, self._settings.missing_after)
            return [do.Tell(missing)]
        if name == "relay":
            actions = self.relayed.due(now)
            helpless = [each.turns_suspect(now) for each in self.relayed.paths]
            return actions + (self._link.doubt(now) if any(helpless) else [])
        return self.direct.timer_fired(name, now)

    def network_changed(self, stale: frozenset[int], now: float) -> list[do.Action]:
        """This host's datagrams leave by another way than before; those of the sockets `stale` cannot arrive."""
        self.direct.woke(now)
        self.renewal.forget()
        self.direct.rounds.lifetime.forget()
        for path in self._carrying.standing:
            path.press(now, Reason.STALE if path.generation in stale else Reason.PEER)
        return self.direct.rebind(stale) + self.relayed.rebind(stale, self._carrying.path, now)

    def woke(self, now: float) -> None:
        """This host has slept: a pause between two attempts ends at once, and each path has to show that it lives."""
        self.direct.woke(now)
        for path in self._carrying.standing:
            path.press(now, Reason.SILENT)

    def arm(self, now: float) -> None:
        """Set the timers to the deadlines of the parts. The agent calls it after each event."""
        self.direct.arm()
        relayed = self.relayed.paths
        is_udp = bool(relayed) and relayed[-1].method == MethodName.RELAY
        waits = is_udp and self._timers.is_set((self.id, "retry"))
        self._router.look(now, is_worth_while=waits and self.direct.reach.lacks_port)
        self._following.set(
            (
                self.relayed.deadline,
                self.renewal.deadline,
                self._carrying.deadline,
                self._router.deadline,
            )
        )

    def close(self) -> list[do.Action]:
        """For good, with a word to the peer if there is a path."""
        self._carrying.path = None
        return self.relayed.close() + self.direct.close()

    # The path that carries

    def told(self, notice: note.Notice) -> None:
        """People were told that: it explains the path of now."""
        self.story.told(notice)
        if isinstance(notice, note.MappingLearned):
            self.explaining.mapped(notice.mapped.address)

    def explain(self, now: float) -> list[do.Action]:
        """Find out why the path is relayed. The agent calls it after `settle`."""
        return self.explaining.carries(self._carrying.path, now)

    def settle(self, now: float) -> list[do.Action]:
        """Let programs' datagrams take the best path that stands, and close what has been left."""
        if self.state is PathState.CLOSED:
            self._carrying.path = None
            return self.relayed.close()
        self.renewal.look(self.direct.path, now)
        actions = self._carrying.settle(now)
        carrier = self._carrying.path
        if carrier is not None:
            return actions + self.services.carries(carrier, now)
        return actions if self.relayed.is_open else actions + self._none_left(now)

    def _none_left(self, now: float) -> list[do.Action]:
        """No path, and no relay on its way. The direct way tells of its own end, if it was the only one."""
        missed = self._carrying.take_missed()
        failure = self.direct.failure
        if missed is not None:
            lost: list[do.Action] = [do.Tell(note.PathLost(missed.end or "it was closed"))]
            if self._once:
                return lost + self.close()
            return lost + (self.direct.ask_again(now) if self.state is PathState.IDLE else [])
        if self._once and failure is not None:
            return [do.Tell(note.AttemptFailed(*failure, None)), *self.close()]
        return []
