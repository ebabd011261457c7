"""The direct way's state, and the other round of an attempt, which goes on beside the newest.

The server swaps the roles early, and the round before goes on meanwhile. Both may get proof, at each host
another one first. So the host whose id sorts first **decides**, by its first proof. The other one uses its own
first proof, keeps the other round alive, and follows: only on the round that was decided for does the first
host say what needs proof.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from nat_traversal.client.control_link import ControlLink, Identity
from nat_traversal.client.endings import established, replaced
from nat_traversal.client.older import OlderPaths
from nat_traversal.client.phases import (
    TABLE,
    TIMERS,
    Established,
    Idle,
    PathState,
    PathTrigger,
    Phase,
    Punching,
    Shown,
    closing,
    deadlines,
)
from nat_traversal.client.security import Security
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair, number_of
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.paths.consent import Reason
from nat_traversal.paths.keepalive import Lifetime
from nat_traversal.paths.methods.method import Order, Output, Proven
from nat_traversal.paths.path import Path
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m

BESIDE = "beside "
"""Before the names of the other round's timers."""
OLDER = "older"
"""The timer of the older paths."""
NAMES = (*TIMERS, *(BESIDE + name for name in TIMERS[1:]), OLDER)
"""The timers that follow `Rounds.deadlines`. The other round has been announced."""
_NONE = (None,) * len(TIMERS)


class Rounds:
    """The `phase` of the newest socket or of the path. `on_proof` is called when a path stands."""

    def __init__(
        self,
        identity: Identity,
        settings: ClientSettings,
        security: Security,
        *,
        link: ControlLink,
        rng: random.Random,
        on_proof: Callable[[float], None],
    ) -> None:
        self._machine = StateMachine(f"path to {identity.peer}", PathState.IDLE, TABLE)
        self._identity = identity
        self._settings = settings
        self._security = security
        self._link = link
        self._rng = rng
        self._on_proof = on_proof
        self._decides = identity.id < identity.peer
        self.phase: Phase = Idle()
        self.beside: Punching | Established | None = None
        """The other round of the attempt, while it goes on."""
        self._strange: int | None = None
        """The newest attempt in a round of which a stranger has answered, as far as those rounds are over."""
        self.lifetime = Lifetime(settings)
        """Of mappings, as the paths have shown."""
        self.older = OlderPaths()
        """The paths that this attempt is to replace."""

    @property
    def state(self) -> PathState:
        return self._machine.state

    def at(self, generation: int) -> Shown | None:
        """The phase with that socket, which may be one beside the announced one."""
        number = number_of(generation)
        for phase in (self.phase, self.beside):
            if isinstance(phase, Shown) and phase.socket.number == number:
                return phase
        return self.older.at(generation) if self.older.are_any else None

    @property
    def path(self) -> Path | None:
        """The direct path, while it stands."""
        return self.phase.path if isinstance(self.phase, Established) else None

    @property
    def paths(self) -> list[Path]:
        """All that stand."""
        here = [each.path for each in (self.phase, self.beside) if isinstance(each, Established)]
        return [*here, *self.older.paths]

    def path_at(self, generation: int) -> Path | None:
        """The path of that socket, while it stands."""
        phase = self.at(generation)
        return phase.path if isinstance(phase, Established) else None

    def deadlines(self) -> tuple[float | None, ...]:
        """When each timer of `NAMES` is due."""
        other = _NONE if self.beside is None else deadlines(self.beside)
        return (*deadlines(self.phase), *other[1:], self.older.deadline)

    def enter(self, trigger: PathTrigger, phase: Phase) -> None:
        self._machine.fire(trigger)
        self.phase = phase

    def keep(self, punching: Punching) -> list[do.Action]:
        """That phase goes on beside the next one."""
        actions = self.close_beside()
        punching.announcer.stop()
        self.beside = punching
        return actions

    def close(self) -> list[do.Action]:
        """Close the sockets, but for that of a phase that was kept and goes on."""
        if not isinstance(self.phase, Shown) or self.phase is self.beside:
            return []
        self._remember(self.phase)
        return [*self.close_beside(), *closing(self.phase)]

    def _remember(self, phase: Shown) -> None:
        if isinstance(phase, Punching) and phase.method.forged:
            self._strange = phase.round.attempt

    @property
    def met_stranger(self) -> bool:
        """Somebody without the peer's key has answered as the peer in a round of the present attempt."""
        phase = self.phase
        if not isinstance(phase, Punching):
            return False
        return phase.method.forged > 0 or phase.round.attempt == self._strange

    def set_aside(self, now: float) -> list[do.Action]:
        """The path that stands gives its place to a new attempt, and goes on until that one's path takes over."""
        if not isinstance(self.phase, Established):
            return []
        closed = self.close_beside() + self.older.add(self.phase)
        self.phase.path.press(now, Reason.PEER)
        self.phase = Idle()
        return closed

    def give_way(
        self, now: float, *, keeps: bool, is_alone: bool
    ) -> tuple[list[do.Action], note.PathLost | None]:
        """The server orders a fresh socket: the path that stands is set aside if this side `keeps` it, and it may yet be
        of use. Else it is lost, which is told if it `is_alone`."""
        phase = self.phase
        if not isinstance(phase, Established):
            return [], None
        lost = replaced(phase)
        if keeps and not lost.attempt_goes_on:
            return self.set_aside(now), None
        phase.path.end = None if lost.attempt_goes_on else lost.reason
        phase.path.end_is_told = is_alone
        return ([do.Tell(lost)], lost) if is_alone else ([], None)

    def doubt(self, now: float) -> None:
        """The server says that the peer has left."""
        newest = [] if self.path is None else [self.path]
        for path in [*newest, *self.older.paths]:
            path.doubt(now)

    def udp_is_silent(self, now: float) -> bool:
        """The server has had time to answer an announce of the present socket, and has not."""
        phase = self.phase
        return isinstance(phase, Shown) and phase.announcer.is_unanswered(now)

    def owns(self, generation: int) -> bool:
        """Whether one of these sockets has that number."""
        return self.at(generation) is not None

    def is_of_another_attempt(self, attempt: int) -> bool:
        """Whether `attempt` has been replaced by this time, or this side has declined it."""
        phase = self.phase
        if isinstance(phase, Punching | Established):
            return phase.round.attempt != attempt
        return isinstance(phase, Idle)

    def begins(self, start: m.StartRound) -> list[do.Action]:
        """Close the other round's socket unless it belongs to the same attempt, and the paths to an earlier process."""
        closed = self.older.of_another(start.peer.instance, "the other side has restarted")
        is_stale = self.beside is not None and self.beside.round.attempt != start.attempt
        return closed + (self.close_beside() if is_stale else [])

    def close_beside(self) -> list[do.Action]:
        other, self.beside = self.beside, None
        if other is None:
            return []
        self._remember(other)
        return closing(other)

    # Orders and proof

    def ordered(self, order: Order, now: float) -> list[do.Action]:
        """The server ordered a step of one of the rounds."""
        actions: list[do.Action] = []
        for phase in (self.phase, self.beside):
            if isinstance(phase, Shown):
                actions += self.carry(phase, phase.method.ordered(order, now), now)
        return actions

    def hop_told(self, teller: str, generation: int) -> None:
        """A datagram of that socket has ended at the router `teller`."""
        phase = self.at(generation)
        if phase is not None:
            phase.method.hop_told(teller, generation)

    def carry(self, phase: Shown, outputs: list[Output], now: float) -> list[do.Action]:
        """The actions of that phase's method; in the place of its proof, all that follows from it."""
        actions: list[do.Action] = []
        for output in outputs:
            if not isinstance(output, Proven):
                actions.append(output)
            elif isinstance(phase, Punching):
                actions += self._proven(phase, output.pair, now)
        return actions

    def _proven(self, phase: Punching, pair: NominatedPair, now: float) -> list[do.Action]:
        start, method = phase.round, phase.method
        ours, theirs = phase.connection, pair.connection
        epochs = self._security.epochs(phase.keys, ours, theirs, self._rng, now)
        path = Path(
            *(pair, epochs, self._settings, self._rng, now),
            method=method.name,
            roams=True,
            lifetime=self.lifetime,
        )
        phase.announcer.stop()
        left = closing(phase, pair.socket)
        proven = Established(pair.socket, phase.announcer, method, start, phase.keys, path)
        reported = (
            [do.SendMessage(m.Established(start.attempt, start.round))]
            if self._link.is_registered
            else []
        )
        used = [*left, *reported, *path.use(start.peer.instance)]
        if isinstance(self.phase, Established):
            self.beside = proven  # the peer will show which of the two it uses
            return used
        return [*used, *self._choose(proven, now)]

    def _choose(self, proven: Established, now: float) -> list[do.Action]:
        """The first proof, or the one that the peer has decided for. The other round goes on only where the
        peer may yet decide for it, and says nothing while the peer's word may be on its way."""
        others = [each for each in (self.phase, self.beside) if isinstance(each, Shown)]
        self.beside = None
        self.enter(PathTrigger.PROVEN, proven)
        self._on_proof(now)
        vouched = self._security.vouched(self._identity.peer)
        actions = [established(proven.round.attempt, proven.round.round, proven.path, vouched)]
        for other in others:
            if other.socket.number == proven.socket.number:
                continue
            if isinstance(other, Punching) and not self._decides and not _is_known(proven):
                self.beside = other
                other.method.hold(now)
            else:
                actions += closing(other)
        return actions

    def follow(self, decided: Established | None, now: float) -> list[do.Action]:
        """The peer has decided for that path, of the two rounds that go on."""
        if decided is None or self.older.at(decided.socket.generation) is not None:
            return []
        return self.close_beside() if decided is self.phase else self._choose(decided, now)

    def beside_due(self, name: str, now: float) -> list[do.Action]:
        """A timer of the other round is due."""
        other = self.beside
        if other is None:
            return []
        if name == "method":
            return self.carry(other, other.method.due(now), now)
        actions = other.path.due(now) if isinstance(other, Established) else []
        is_over = isinstance(other, Punching) or other.path.end is not None
        return actions + (self.close_beside() if is_over else [])

    def decided(self) -> Established | None:
        """The path that the peer is now known to have decided for, while there are two rounds."""
        if self.beside is None:
            return None
        paths = [each for each in (self.phase, self.beside) if isinstance(each, Established)]
        return next((each for each in paths if _is_known(each)), None)


def _is_known(phase: Established) -> bool:
    """Whether the peer is known to have proof of that path."""
    return phase.method.peer_has_proof or phase.path.peer_knows
