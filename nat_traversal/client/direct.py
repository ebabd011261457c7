"""The direct way to a peer: the attempts to open a path, and the path while one stands.

Its state carries what belongs to it: the socket, its announcer, the method, the round, the path. There
is one socket at a time, and a second one while two rounds of an attempt go on (`client.rounds`).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from nat_traversal.client.announcer import AnnounceKey, Announcer
from nat_traversal.client.beginnings import Beginnings
from nat_traversal.client.control_link import ControlLink, Identity, RelayWish
from nat_traversal.client.endings import Scarcity, verdict
from nat_traversal.client.phases import (
    Announcing,
    Closed,
    Established,
    Idle,
    PathState,
    PathTrigger,
    Phase,
    Punching,
)
from nat_traversal.client.reach import Reach
from nat_traversal.client.restraint import Breach, Restraint
from nat_traversal.client.retrying import RETRY, Retrying
from nat_traversal.client.rounds import BESIDE, NAMES, OLDER, Rounds
from nat_traversal.client.security import Security, public_of
from nat_traversal.errors import KeyRefusedError
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import Sockets
from nat_traversal.machine.timers import Following, Timers
from nat_traversal.paths.budget import ROUND_WITHIN, Surroundings
from nat_traversal.paths.path import Path
from nat_traversal.paths.probing import Probes
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.offers import Offer

log = logging.getLogger(__name__)
_S, _T = PathState, PathTrigger


class Direct:
    """The way to the host `identity.peer`. Owns the timers ``(its id, name)`` of the agent's `Timers`.

    `once`: close after the first failed attempt, or when the path is lost, unless there is another way:
    `has_other` tells.
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
        probes: Probes | None = None,
        has_other: Callable[[], bool] = bool,
    ) -> None:
        self.id = identity.peer
        self._security, self._link, self._timers = security, link, timers
        self._once, self._has_other = once, has_other
        self._restraint = Restraint(settings, probes)
        self._beginnings = Beginnings(
            identity,
            settings,
            security,
            instance=instance,
            sockets=sockets,
            restraint=self._restraint,
            rng=rng,
        )
        self._retrying = Retrying(
            self.id, settings, restraint=self._restraint, timers=timers, rng=rng
        )
        self.rounds = Rounds(
            identity, settings, security, link=link, rng=rng, on_proof=self._retrying.proven
        )
        self._scarcity = Scarcity(settings.socket_again)
        self.reach = Reach(
            link, self.rounds, self._restraint, settings, key=self._beginnings.present_key
        )
        self._following = Following(timers, [(self.id, name) for name in (*NAMES, "reach")])

    @property
    def announce_key(self) -> AnnounceKey:
        """Of the present connection to the server."""
        return self._beginnings.announce_key

    @property
    def failure(self) -> tuple[str, str] | None:
        """Why the newest attempt failed, as code and text, where another way was left."""
        return self._retrying.failure

    @property
    def state(self) -> PathState:
        return self.rounds.state

    @property
    def phase(self) -> Phase:
        """The state, and what belongs to it."""
        return self.rounds.phase

    @property
    def path(self) -> Path | None:
        """The direct path, while it stands."""
        return self.rounds.path

    def take_breach(self) -> Breach | None:
        """The server's order that no honest one gives, once; None if there was none."""
        return self._restraint.take_breach(in_round=self.state is _S.PUNCHING)

    def allows_relay(self, order: m.OpenRelay, now: float) -> bool:
        """Whether the server may send this host to that relay."""
        return self._restraint.allows_relay(order, Surroundings(self._link.server), now)

    def allows_turn(self, at: Endpoint | None, now: float) -> bool:
        """Whether a TURN server may relay, the peer's at `at` or this host's own."""
        return self._restraint.allows_turn(at, Surroundings(self._link.server), now)

    # The control link, as the agent sees it

    def link_opened(self, wish: RelayWish, now: float) -> list[do.Action]:
        """The connection stands: register, with a fresh socket unless there is a path."""
        key, offer = self._beginnings.renew_key(), self._beginnings.offer
        path = self.path
        if path is not None and not path.is_suspect(now):
            return self._link.opened(0, offer(None), key, now, wish)
        aside = self.rounds.set_aside(now)
        actions, fresh = self._open_socket()
        generation = fresh.socket.generation
        actions += self._link.opened(generation, offer(fresh.pair), key, now, wish)
        return aside + actions + fresh.announcer.announce(now)

    def link_accepted(self, now: float) -> list[do.Action]:
        """The server has answered the registration."""
        if self.state is _S.IDLE:  # the path was lost while the answer was on its way
            return self.ask_again(now)
        if isinstance(self.phase, Announcing):
            self.phase.announcer.registered(now)
        return []

    def link_lost(self) -> list[do.Action]:
        """There is no server for now: a path stays, all else waits."""
        return [] if self.state is _S.ESTABLISHED else self._give_up()

    def ordered(self, message: m.Message | m.UnknownMessage, now: float) -> list[do.Action]:
        """The server said something about this peer."""
        match message:
            case m.OpenSocket():
                return self._fresh_socket_ordered(message, now) + self.reach.ordered(message)
            case m.StartRound():
                return self._round_started(message, now)
            case m.Validated(address):
                self._restraint.budget.validate(address)
                return []
            case m.SendHello() | m.Agree():
                return self.rounds.ordered(message, now)
            case m.GuessLater(wait):
                return self._retrying.guesses_later(wait, now)
            case m.AddedCandidates():
                return self.reach.added(message, now)
            case m.Failed(attempt, code, text, lasting):
                if self.rounds.is_of_another_attempt(attempt):
                    return []
                self._restraint.lasts(lasting, now)
                return self._attempt_failed(code, text, now)
        log.debug("ignored from the server: %r", message)
        return []

    # Datagrams, time, the end

    def arrived(
        self, datagram: datagrams.Datagram, source: Endpoint, generation: int, now: float
    ) -> list[do.Action]:
        """A datagram came in by this peer's socket of that number."""
        phase = self.rounds.at(generation)
        if phase is None:
            return []
        if isinstance(datagram, datagrams.Announced):
            return self._announced(phase.announcer, datagram, now)
        if isinstance(datagram, Knock):
            return self.reach.knocked(datagram, generation)
        said = phase.method.arrived(datagram, source, generation, now)
        actions = self.rounds.carry(phase, said, now)
        return actions + self.rounds.follow(self.rounds.decided(), now)

    def failed(
        self, action: do.OpenUdp | do.SendDatagram | do.UsePath, reason: str, now: float
    ) -> list[do.Action]:
        """An action of this peer's socket could not be carried out."""
        phase = self.rounds.at(action.generation)
        if phase is None:
            return []
        if isinstance(action, do.UsePath) and isinstance(phase, Established):
            phase.path.end = reason
            return self._path_end(phase.path, now)
        if isinstance(action, do.OpenUdp) and phase.method.not_opened(action.generation):
            return []
        return self._scarcity.failed(phase, action, reason, now)

    def frame_opened(
        self, kind: Kind, plain: bytes, generation: int, now: float, source: Endpoint | None = None
    ) -> list[do.Action]:
        """An authentic frame came on this peer's path of that socket, which is none of a program's."""
        phase = self.rounds.at(generation)
        if not isinstance(phase, Established):
            return []
        followed = self.rounds.follow(phase, now) if self.rounds.beside else []
        actions = phase.path.frame_opened(kind, plain, now, source)
        return followed + actions + self._path_end(phase.path, now)

    def timer_fired(self, name: str, now: float) -> list[do.Action]:
        """One of this peer's timers is due."""
        self._following.fired()
        phase = self.phase
        if name == RETRY:
            return self.ask_again(now)
        if name == OLDER:
            return self.rounds.older.due(now)
        if isinstance(phase, Idle | Closed):
            return []
        if name == "announce":
            return phase.announcer.due(now, server_answers=self._link.is_registered)
        if name.startswith(BESIDE):
            return self.rounds.beside_due(name.removeprefix(BESIDE), now)
        if name == "reach":
            return self.reach.due(now)
        if name == "method":
            return self.rounds.carry(phase, phase.method.due(now), now)
        if name == "round":
            text = f"the server has not ended the round within {ROUND_WITHIN:g} s"
            return self._attempt_failed(m.Verdict.NO_PATH, text, now)
        return self._path_due(phase.path, now) if isinstance(phase, Established) else []

    def woke(self, now: float) -> None:
        """This host has slept: a pause between two attempts ends at once."""
        self._retrying.woke(now)

    def rebind(self, stale: frozenset[int]) -> list[do.Action]:
        """This host's address under these sockets has changed: the peer may follow a path to the new one."""
        return [
            do.RebindUdp(each.generation) for each in self.rounds.paths if each.generation in stale
        ]

    def arm(self) -> None:
        """Set the timers to the deadlines of the parts. The agent calls it after each event."""
        self._following.set((*self.rounds.deadlines(), self.reach.deadline))

    def close(self) -> list[do.Action]:
        """For good, with a word to the peer if there is a path."""
        actions = self.path.farewell() if self.path else []
        actions += self._drop_socket() + self.rounds.older.close()
        self.rounds.enter(_T.CLOSE, Closed())
        return actions

    # Sockets and announces: steps 1 to 3

    def mismatched(self, theirs: Offer, now: float) -> list[do.Action]:
        """A host that bears the peer's id does not have the keys that this side demands."""
        text = self._security.mismatch(self.id, theirs)
        if text is None or not isinstance(self.phase, Announcing):
            return []
        return self._attempt_failed(m.Verdict.KEYS_DIFFER, text, now)

    def peer_left(self, now: float) -> list[do.Action]:
        """The server says that the peer has left: find out, or begin anew."""
        self.rounds.doubt(now)
        return self.ask_again(now) if self.state is _S.PUNCHING else []

    def _fresh_socket_ordered(self, order: m.OpenSocket, now: float) -> list[do.Action]:
        phase, generation = self.phase, order.generation
        if order.goes_on and isinstance(phase, Established):
            return []  # proof has crossed with the order: the peer will have it too
        if not self._restraint.allows_socket(now):
            return []
        if isinstance(phase, Announcing) and phase.socket.generation >= generation:
            return phase.announcer.announce(now)
        is_alone = not self._has_another()
        actions, lost = self.rounds.give_way(now, keeps=not self._once, is_alone=is_alone)
        if lost is not None and self._once and not lost.attempt_goes_on:
            return actions + self.close()
        if order.goes_on and isinstance(phase, Punching):
            actions += self.rounds.keep(phase)
        opened, fresh = self._open_socket(generation)
        told = do.SendMessage(m.SocketOpened(fresh.socket.generation, public_of(fresh.pair)))
        shown = [*fresh.announcer.announce(now), *fresh.announcer.samples(order.samples)]
        return [*actions, *opened, told, *shown]

    def ask_again(self, now: float) -> list[do.Action]:
        """Ask for a new attempt with a fresh socket; without a server, wait for it."""
        if not self._link.is_registered:
            return self._give_up()
        actions, fresh = self._open_socket()
        retry = m.Retry(fresh.socket.generation, public_of(fresh.pair))
        actions.append(do.SendMessage(retry))
        return actions + fresh.announcer.announce(now)

    def _announced(
        self, announcer: Announcer, answer: datagrams.Announced, now: float
    ) -> list[do.Action]:
        before = announcer.mapped
        actions = announcer.answered(answer, now)
        if announcer.mapped != before and self._link.hides(answer.mapped):
            actions.append(do.Tell(note.AddressHidden(answer.mapped, self._link.via)))
        if before not in (None, announcer.mapped):
            actions += self._link.doubt(now)
        if announcer.mapped is not None and self._scarcity.is_over():
            actions += self.ask_again(now)
        return actions

    def _open_socket(self, at_least: int = 0) -> tuple[list[do.Action], Announcing]:
        """A fresh socket in the place of the old one, to be announced."""
        dropped = self._drop_socket()
        fresh = self._beginnings.socket(at_least)
        self.rounds.enter(_T.OPEN, fresh)
        return [*dropped, fresh.socket.open()], fresh

    def _drop_socket(self) -> list[do.Action]:
        self._retrying.begins()
        return self.rounds.close()

    def _give_up(self) -> list[do.Action]:
        actions = self._drop_socket()
        self.rounds.enter(_T.GIVE_UP, Idle())
        return actions

    # The round: steps 4 to 6

    def _round_started(self, start: m.StartRound, now: float) -> list[do.Action]:
        phase = self.phase
        if not isinstance(phase, Announcing):
            return []
        actions = self.rounds.begins(start)
        try:
            begun = self._beginnings.round(phase, start, self.rounds, self._link.server, now)
        except KeyRefusedError as error:
            declined = do.SendMessage(m.Decline(start.attempt))
            failed = self._attempt_failed(m.Verdict.KEYS_DIFFER, str(error), now)
            return [*actions, declined, *failed]
        return actions + begun

    def _attempt_failed(self, code: str, text: str, now: float) -> list[do.Action]:
        if self._scarcity.explains(self.phase, now) and not self._once:
            return []  # the attempt begins again once there is a socket
        actions: list[do.Action] = []
        met_stranger = self.rounds.met_stranger
        code, text = verdict(self.phase, self.id, code, text, met_stranger=met_stranger)
        if self.state is _S.ESTABLISHED and not self._has_another():
            actions.append(do.Tell(note.PathLost("the other side never confirmed the path")))
        actions += self._give_up()
        self._restraint.failed(now)
        # no other way has other keys
        has_other = self._has_another() and code != m.Verdict.KEYS_DIFFER
        if self._once and not has_other:
            return [*actions, do.Tell(note.AttemptFailed(code, text, None)), *self.close()]
        return [*actions, self._retrying.failed(code, text, now, has_other=has_other)]

    # The path

    def _path_due(self, path: Path, now: float) -> list[do.Action]:
        actions = self._link.doubt(now) if path.falls_silent(now) else []
        actions += path.due(now)
        seeks = path.end is None and path.turns_suspect(now)
        return actions + (self.seek(now) if seeks else self._path_end(path, now))

    def seek(self, now: float) -> list[do.Action]:
        """Look for another path. The one that stands goes on to carry until that takes over, if it can."""
        if self._once or self.path is None or not self._link.is_registered:
            return []
        return self.rounds.set_aside(now) + self.ask_again(now)

    def _has_another(self) -> bool:
        return self._has_other() or bool(self.rounds.older.paths)

    def _path_end(self, path: Path, now: float) -> list[do.Action]:
        """Once `path` has ended: tell it, and close or ask for another. Nothing before."""
        if path.end is None:
            return []
        if path is not self.path:
            return self.rounds.older.ended()
        path.end_is_told = not self._has_another()
        lost: list[do.Action] = [do.Tell(note.PathLost(path.end))] if path.end_is_told else []
        if lost and self._once:
            return lost + self.close()
        return lost + self._link.doubt(now) + self.ask_again(now)
