"""Which of a peer's paths programs' datagrams take, and when the others are closed.

Better by rule: a direct path than a relayed one, the newer than the older, whatever their round trips. Each side
chooses for what it sends, and tells the other. A path that neither side uses any more receives for a while longer.
"""

from __future__ import annotations

from nat_traversal.client.direct import Direct
from nat_traversal.client.hysteresis import Hysteresis
from nat_traversal.client.relayed import Relayed
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.paths.consent import Reason
from nat_traversal.paths.path import Path
from nat_traversal.settings import ClientSettings


class Carrying:
    """Of one peer. Call `settle` after each event."""

    def __init__(self, direct: Direct, relayed: Relayed, settings: ClientSettings) -> None:
        self._direct, self._relayed, self._settings = direct, relayed, settings
        self.path: Path | None = None
        """The one that programs' datagrams take."""
        self.since = 0.0
        self._told: Path | None = None
        """The path of which the peer has been told that this side's datagrams take it."""
        self._peer_uses: Path | None = None
        """The path to which the peer has moved last."""
        self._missed: Path | None = None
        """The path that carried last, while none does."""
        self._hysteresis = Hysteresis()

    @property
    def standing(self) -> list[Path]:
        """The relayed paths, the older direct ones, the direct one: the best is the last."""
        newest = [] if self._direct.path is None else [self._direct.path]
        return [*self._relayed.paths, *self._direct.rounds.older.paths, *newest]

    @property
    def deadline(self) -> float | None:
        """When to call `settle` though nothing happens."""
        return self._hysteresis.deadline

    def take_missed(self) -> Path | None:
        """The path that carried last and whose end nobody was told, once."""
        missed, self._missed = self._missed, None
        return missed

    def settle(self, now: float) -> list[do.Action]:
        """Let programs' datagrams take the best path that stands, and close what has been left."""
        direct = self._direct.path
        if direct is not None and direct is self.path and not self._has_others:
            if direct.moved_at is not None:
                self._peer_uses = direct
            return []  # as nearly always: there is nothing to choose
        standing = self.standing
        self._follow(standing, now)
        actions = self._select(standing, now)
        path = self.path
        if path is None:
            return actions
        if path is not self._told and self._has_others:
            self._told = path
            actions += path.tell_moved(now)
        if len(standing) > 1:
            self._leave(standing, path, now)
        return actions

    @property
    def _has_others(self) -> bool:
        """Paths beside the newest direct one stand, or are on their way."""
        return self._relayed.is_open or self._direct.rounds.older.are_any

    def _select(self, standing: list[Path], now: float) -> list[do.Action]:
        before, best = self.path, self._best(standing, now)
        if best is before:
            return []
        if before is not None and best in self._relayed.paths and self._has_died(before, now):
            self._hysteresis.died(now)
        self.path, self.since = best, now
        if before is not None and before.end is not None:
            self._missed = None if before.end_is_told else before
        if best is None:
            return []
        missed = self.take_missed()
        actions: list[do.Action] = [do.SelectPath(best.generation)]
        self._keep(best)
        if before is not None or missed is not None:
            reason = missed.end if missed is not None and missed.end else ""
            moved = note.PathMoved(best.method, best.remote, best.generation, reason)
            actions.append(do.Tell(moved))
        return actions

    def _has_died(self, path: Path, now: float) -> bool:
        return path not in self._relayed.paths and path.has_died(now)

    def _best(self, standing: list[Path], now: float) -> Path | None:
        """The best of those that are not suspect. A path has to carry frames of the base size before it
        takes over from one that stands. A direct one that dies often has to stand for a while. Where all are
        suspect the one that carries goes on."""
        relayed = self._relayed.paths
        before = self.path if self.path in standing else None
        may_move = standing
        if before is not None and before in relayed and not before.is_suspect(now):
            direct = [path.began_at for path in standing if path not in relayed]
            is_held = self._hysteresis.holds(max(direct, default=now), now)
            may_move = relayed if is_held else standing
        for path in reversed(may_move):
            fits = before is None or path is before or path.base_passes
            if fits and not path.is_suspect(now):
                return path
        return before or (standing[-1] if standing else None)

    def _follow(self, standing: list[Path], now: float) -> None:
        """The peer has moved to a path that is none of the best: to its mind the better ones are dead. See whether."""
        newest = max(standing, key=_moved_at, default=None)
        if newest is None or newest.moved_at is None or newest is self._peer_uses:
            return
        self._peer_uses = newest
        for path in standing[standing.index(newest) + 1 :]:
            path.press(now, Reason.PEER)

    def _leave(self, standing: list[Path], carrier: Path, now: float) -> None:
        """Close the older ways, once neither side sends there any more and what was sent has come. None while the
        one that carries may be dead: they are all that is left then."""
        others = standing[: standing.index(carrier)]
        if carrier.is_suspect(now):
            for path in others:
                self._keep(path)
        elif carrier.moved_at is not None:
            moved_at = max(_moved_at(path) for path in standing)
            for path in others:
                at = max(moved_at, self.since, path.began_at) + self._settings.path_linger
                self._relayed.leave(path, at)
                self._direct.rounds.older.leave(path, at)

    def _keep(self, path: Path) -> None:
        self._relayed.keep(path)
        self._direct.rounds.older.keep(path)


def _moved_at(path: Path) -> float:
    """When the peer's datagrams began to come by it; 0: they have not."""
    return path.moved_at or 0.0
