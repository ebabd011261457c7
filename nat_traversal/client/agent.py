"""A client as a machine without I/O: one control link, the peers behind it, one set of timers.

Feed `handle` events, carry out the actions that it returns, call it with `TimerFired` at `deadline()`.
"""

from __future__ import annotations

import logging
import random

from nat_traversal.client.control_link import ControlLink, Identity
from nat_traversal.client.path_status import PathStatus
from nat_traversal.client.peer import Peer
from nat_traversal.client.phases import PathState
from nat_traversal.client.relayed import Relayed
from nat_traversal.client.security import Security, new_instance
from nat_traversal.client.server_status import ServerStatus
from nat_traversal.errors import UsageError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import Sockets
from nat_traversal.machine.timers import Timers
from nat_traversal.paths.probing import Probes
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.ids import check_id
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.services import ServiceOffer

log = logging.getLogger(__name__)

FINAL_REFUSALS = frozenset({m.ErrorCode.BAD_ID, m.ErrorCode.UNSUPPORTED_VERSION})
"""Trying again would not help: the user has to change something."""


class Agent:
    """One client. `once`: give up for good after the first failed attempt.

    `rng` must be a `random.SystemRandom` outside tests: keys come from it. `security` is sealed with
    nobody but the server to vouch for the peer, unless told otherwise. `token`: the server's, 32 octets. Raises `UsageError` for ids that
    the server would refuse.

    The protocol registers a host for one peer, so `peers` has one today. The server's messages
    go to that one, a datagram to the peer whose socket it came in by, a timer to its owner.
    """

    def __init__(
        self,
        host_id: str,
        peer_id: str,
        *,
        rng: random.Random,
        settings: ClientSettings | None = None,
        security: Security | None = None,
        once: bool = False,
        sockets: Sockets | None = None,
        serves: m.Serves = m.Serves.UNTOLD,
        relaying: m.Relaying = m.Relaying.NEVER,
        may_join: bool = True,
        turn: m.TurnPart = m.TurnPart.NEVER,
        token: bytes | None = None,
        methods: tuple[str, ...] = (),
        services: tuple[ServiceOffer, ...] = (),
        certificate: bytes = b"",
        probes: Probes | None = None,
        server: HostPort | None = None,
    ) -> None:
        if host_id == peer_id:
            raise UsageError(f"{host_id!r} cannot be its own peer: give the hosts different ids")
        settings = settings or ClientSettings()
        security = security or Security.sealed()
        peer_key = security.demanded(peer_id)
        if security.make_key is None:  # without keys no host can show that it agrees to guesses
            methods = tuple(each for each in methods if each != MethodName.BIRTHDAY)
        identity = Identity(check_id(host_id), check_id(peer_id), serves, peer_key, methods)
        self._once = once
        self._settings = settings
        self._timers = Timers()
        self.link = ControlLink(
            *(identity, settings, self._timers, rng, security.owner(rng)),
            token=token,
            named=server,
        )
        peer = Peer(
            identity,
            settings,
            security,
            instance=new_instance(rng),
            link=self.link,
            sockets=sockets or Sockets(),
            timers=self._timers,
            rng=rng,
            once=once,
            relaying=relaying,
            may_join=may_join,
            turn=turn,
            services=services,
            probes=probes,
            certificate=certificate,
        )
        self.peers = {peer.id: peer}

    def is_closed(self) -> bool:
        """Every peer is closed: nothing follows."""
        for peer in self.peers.values():  # noqa: SIM110 - asked twice an event: a generator costs more
            if peer.state is not PathState.CLOSED:
                return False
        return True

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        return self._timers.deadline()

    def start(self, now: float) -> list[do.Action]:
        """The first actions."""
        return self.link.connect(now)

    def handle(self, event: e.Event, now: float) -> list[do.Action]:
        """One event in, actions out, in the order in which to carry them out."""
        if self.is_closed():
            return []
        actions = self._dispatch(event, now)
        actions += self._check_server(now)
        for peer in self.peers.values():
            actions += peer.settle(now)
            actions += peer.explain(now)
            peer.arm(now)
        if self.is_closed():
            actions += self.link.close()
        for action in actions:
            if isinstance(action, do.Tell):
                for peer in self.peers.values():
                    peer.told(action.notice)
        return actions

    def status(self, now: float) -> PathStatus:
        """The path to the peer at this moment."""
        return self._peer().status(now)

    def server_status(self, now: float) -> ServerStatus:
        """The connection to the server at this moment."""
        return self.link.status(now)

    def service_troubles(self) -> dict[int, note.Notice | None]:
        """`PeerServices.troubles`."""
        return self._peer().services.troubles()

    def _dispatch(self, event: e.Event, now: float) -> list[do.Action]:
        match event:
            case e.ControlReached() | e.ControlOpened() | e.ControlReceived() if (
                not self.link.is_open
            ):
                return []  # of a connection that this side has ended
            case e.ControlGarbled() | e.ControlBroken() if not self.link.is_open:
                return []
            case e.ControlReached():
                self.link.reached(now)
                return []
            case e.ControlOpened(_, remote, certificate):
                self.link.met(remote, certificate)
                return self._peer().link_opened(now)
            case e.ControlReceived(message):
                self.link.heard(now)
                return self._message_arrived(message, now)
            case e.ControlGarbled(reason):
                return [do.CloseControl(), *self._control_lost(reason, now)]
            case e.ControlBroken(reason, _, lacks_room, remedy):
                pause = self._settings.socket_again if lacks_room else None
                return self._control_lost(reason, now, pause, remedy=remedy)
            case e.DatagramArrived(datagram, source, generation):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        return peer.arrived(datagram, source, generation, now)
            case e.StreamOpened() | e.StreamBroken() | e.TurnOpened() | e.TurnBroken():
                for peer in self.peers.values():
                    if peer.owns(event.generation):
                        return _to_relay(peer.relayed, event, now)
            case e.FrameOpened(kind, plain, generation, source):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        return peer.frame_opened(kind, plain, generation, now, source)
            case e.PeerElsewhere(_, _, generation):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        peer.elsewhere(event, now)
            case e.FrameRefused(size, generation):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        return peer.frame_refused(size, generation, now)
            case e.LargerFramesSent(generation):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        peer.larger_sent(generation, now)
            case e.DatagramsOffered(generation):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        peer.offered(generation, now)
            case e.HostsFound(endpoints, generation, own_port):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        return peer.direct.reach.hosts_found(endpoints, generation, own_port)
            case e.RouterMaps(port, generation):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        return peer.router_maps(port, generation, now)
            case e.HopTold(teller, generation):
                for peer in self.peers.values():
                    if peer.owns(generation):
                        peer.direct.rounds.hop_told(teller, generation)
            case e.ActionFailed(action, reason):
                return self._action_failed(action, reason, now)
            case e.TimerFired():
                return self._timers_fired(now)
            case e.Woke():
                told: list[do.Action] = [do.Tell(note.Woke())]
                for peer in self.peers.values():
                    peer.woke(now)
                return told + self.link.woke(now)
            case e.NetworkChanged():
                return self._network_changed(event, now)
            case e.ServiceChanged() | e.ServicesChanged() | e.EchoWanted():
                return self._from_this_host(event, now)
            case e.NatFound(facts):
                return [act for peer in self.peers.values() for act in peer.nat_found(facts)]
            case e.StopRequested():
                return self._close()
        return []

    def _from_this_host(
        self, event: e.ServiceChanged | e.ServicesChanged | e.EchoWanted, now: float
    ) -> list[do.Action]:
        """News of this host's services, or a question of its user."""
        match event:
            case e.ServiceChanged(up, number=0):
                return [do.SendMessage(m.ServiceState(up))] if self.link.is_registered else []
            case e.ServiceChanged(up, peer_id, number):
                return self.peers[peer_id].services.refuses(number, not up, now)
            case e.ServicesChanged(peer_id, offers, certificate):
                return self.peers[peer_id].services.change(offers, now, certificate)
            case e.EchoWanted(peer_id):
                return self.peers[peer_id].ask(now)

    def _network_changed(self, event: e.NetworkChanged, now: float) -> list[do.Action]:
        """A connection that leaves by a way of the past will not come back: make another at once."""
        actions: list[do.Action] = [do.Tell(note.NetworkChanged())]
        for peer in self.peers.values():
            actions += peer.network_changed(event.stale, now)
        if event.server_is_stale and self.link.is_open:
            reason = "this host has changed its network"
            return [*actions, do.CloseControl(), *self._control_lost(reason, now, 0.0)]
        return actions + self.link.woke(now)

    def _action_failed(self, action: object, reason: str, now: float) -> list[do.Action]:
        """An action of this side failed, and nobody else will say so."""
        if isinstance(action, do.OpenControl | do.SendMessage) and self.link.is_open:
            return [do.CloseControl(), *self._control_lost(reason, now)]
        for peer in self.peers.values():
            if actions := peer.failed(action, reason, now):
                return actions
        return []

    def _timers_fired(self, now: float) -> list[do.Action]:
        actions: list[do.Action] = []
        for timer in self._timers.due(now):
            if self.is_closed():
                break
            match timer:
                case (str(peer_id), str(name)):
                    actions += self.peers[peer_id].timer_fired(name, now)
                case str(name):
                    actions += self._link_timer_fired(name, now)
        return actions

    def _link_timer_fired(self, name: str, now: float) -> list[do.Action]:
        reason = self.link.timed_out(name, now)
        if reason is None:
            return self.link.timer_fired(name, now)
        lost = self._control_lost(reason, now, remedy=self.link.remedy)
        return [do.CloseControl(), *lost]

    def _peer(self) -> Peer:
        """The peer that the server speaks of."""
        (peer,) = self.peers.values()
        return peer

    def _message_arrived(
        self, message: m.Message | m.UnknownMessage, now: float
    ) -> list[do.Action]:
        match message:
            case m.Registered(version=version) if version != PROTOCOL_VERSION:
                text = f"the server chose version {version}, this client speaks {PROTOCOL_VERSION}"
                return self._refused(m.ErrorCode.UNSUPPORTED_VERSION, text, now)
            case m.Registered():
                return self.link.accepted(message, now) + self._peer().link_accepted(now)
            case m.Challenge():
                return self.link.challenged(message, now)
            case m.Refused(code, text):
                return self._refused(code, text, now)
            case m.GoAway(retry_in):
                reason = "it ends, and asks this host to come back"
                return [do.CloseControl(), *self._control_lost(reason, now, retry_in)]
            case m.Heartbeat(transaction):
                return [do.SendMessage(m.HeartbeatAnswer(transaction))]
            case m.HeartbeatAnswer(transaction):
                self.link.answered(transaction)
                return []
        return self._peer().ordered(message, now)

    def _refused(self, code: str, text: str, now: float) -> list[do.Action]:
        if code == m.ErrorCode.UNKNOWN_MESSAGE:
            log.warning("the server does not know a message of ours: %s", text)
            return []
        if code in FINAL_REFUSALS or (self._once and not self._has_path()):
            return [do.Tell(note.ServerRefused(code, text)), *self._close()]
        return [do.CloseControl(), *self._control_lost(text, now)]

    def _check_server(self, now: float) -> list[do.Action]:
        """End the connection to a server that has ordered what no honest one orders."""
        actions: list[do.Action] = []
        for peer in self.peers.values():
            breach = peer.take_breach()
            if breach is not None and not self.is_closed():
                actions += [
                    do.CloseControl(),
                    *self._control_lost(breach.reason, now, at_least=breach.wait),
                ]
        return actions

    def _control_lost(
        self,
        reason: str,
        now: float,
        pause: float | None = None,
        at_least: float = 0.0,
        remedy: str = "",
    ) -> list[do.Action]:
        if self._once and not self._has_path():
            return [do.Tell(note.ServerLost(reason, None, remedy)), *self._close()]
        actions: list[do.Action] = []
        for peer in self.peers.values():
            actions += peer.link_lost()
        needed = any(peer.state is not PathState.ESTABLISHED for peer in self.peers.values())
        return actions + self.link.broken(
            reason, now, pause, at_least, needed=needed, remedy=remedy
        )

    def _has_path(self) -> bool:
        return any(peer.has_path for peer in self.peers.values())

    def _close(self) -> list[do.Action]:
        """Close every peer; the link closes with the last."""
        actions: list[do.Action] = []
        for peer in self.peers.values():
            actions += peer.close()
        return actions


def _to_relay(
    relayed: Relayed,
    event: e.StreamOpened | e.StreamBroken | e.TurnOpened | e.TurnBroken,
    now: float,
) -> list[do.Action]:
    match event:
        case e.StreamOpened(generation, remote):
            return relayed.stream_opened(generation, remote, now)
        case e.StreamBroken(generation, reason):
            return relayed.stream_broken(generation, reason)
        case e.TurnOpened(generation, address):
            return relayed.turn_opened(generation, address, now)
        case e.TurnBroken(generation, reason):
            return relayed.turn_failed(generation, reason)
