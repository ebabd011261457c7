"""Direct paths that stood before: they go on to carry and to receive until a newer one has taken over."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.client.phases import Established, closing
from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import number_of
from nat_traversal.paths.path import Path

MOST = 2
"""Of one peer: the oldest makes room."""


@dataclass(eq=False, slots=True)
class _Older:
    """One that has been set aside."""

    phase: Established
    closes_at: float | None = None
    """When it is closed, since neither side sends there any more."""


class OlderPaths:
    """Of one peer, the newest last."""

    def __init__(self) -> None:
        self._kept: list[_Older] = []

    @property
    def are_any(self) -> bool:
        """One stands at least."""
        return bool(self._kept)

    @property
    def paths(self) -> list[Path]:
        return [each.phase.path for each in self._kept]

    @property
    def deadline(self) -> float | None:
        """When to call `due` next."""
        if not self._kept:
            return None
        times = [each.phase.path.deadline for each in self._kept]
        times += [each.closes_at for each in self._kept if each.closes_at is not None]
        return min(times)

    def at(self, generation: int) -> Established | None:
        """The phase with that socket."""
        for each in self._kept:
            if each.phase.socket.number == number_of(generation):
                return each.phase
        return None

    def add(self, phase: Established) -> list[do.Action]:
        """`phase` has been the newest until now."""
        oldest = self._kept[: max(0, len(self._kept) + 1 - MOST)]
        self._kept.append(_Older(phase))
        return [action for each in oldest for action in self.drop(each.phase.path)]

    def due(self, now: float) -> list[do.Action]:
        """The deadline has come."""
        actions: list[do.Action] = []
        for each in list(self._kept):
            path = each.phase.path
            if each.closes_at is not None and now >= each.closes_at:
                actions += self.drop(path)
            elif now >= path.deadline:
                actions += path.due(now)
        return actions + self.ended()

    def ended(self) -> list[do.Action]:
        """Close the paths that have ended."""
        over = [path for path in self.paths if path.end is not None]
        return [action for path in over for action in self.drop(path)]

    def of_another(self, instance: bytes, reason: str) -> list[do.Action]:
        """The peer's process is `instance`: close the paths to an earlier one."""
        gone = [each.phase for each in self._kept if each.phase.round.peer.instance != instance]
        for phase in gone:
            phase.path.end = phase.path.end or reason
        return self.ended()

    def leave(self, path: Path, at: float) -> None:
        """Nothing is sent on `path` any more, by either side: close it at `at`."""
        for each in self._kept:
            if each.phase.path is path and each.closes_at is None:
                each.closes_at = at

    def keep(self, path: Path) -> None:
        """`path` carries again."""
        for each in self._kept:
            if each.phase.path is path:
                each.closes_at = None

    def drop(self, path: Path) -> list[do.Action]:
        """Close the socket of `path`."""
        gone = [each.phase for each in self._kept if each.phase.path is path]
        self._kept = [each for each in self._kept if each.phase.path is not path]
        for phase in gone:
            phase.path.end = phase.path.end or "a newer path has taken its place"
        return [action for phase in gone for action in closing(phase)]

    def close(self) -> list[do.Action]:
        """For good, with a word to the peer."""
        said = [action for path in self.paths for action in path.farewell()]
        return said + [action for path in self.paths for action in self.drop(path)]
