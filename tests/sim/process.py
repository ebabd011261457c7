"""A process in the world: the adapters' driver on the virtual clock, and what it has told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.driver import Driver, Machine

if TYPE_CHECKING:
    from tests.sim.world import World

_Notice = TypeVar("_Notice", bound=note.Notice)


class Process(Driver):
    """The adapters' driver, on the world's clock."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__(machine, world.clock)
        self.world = world
        self.is_dead = False
        self.notices: list[tuple[float, note.Notice]] = []
        self.is_stopped = False
        self._held: list[Callable[[], object]] = []
        """What the kernel keeps for a process that is stopped."""
        self._timer_is_late = False

    def feed(self, event: e.Event) -> None:
        if self.is_dead or self.holds(lambda: self.feed(event)):
            return
        super().feed(event)

    def holds(self, call: Callable[[], object]) -> bool:
        """Whether the process is stopped: then `call` waits for its going on."""
        if self.is_stopped:
            self._held.append(call)
        return self.is_stopped

    def stop_running(self) -> None:
        """As SIGSTOP."""
        self.is_stopped = True

    def go_on(self, *, forgets: bool = False) -> None:
        """As SIGCONT: what has come meanwhile comes first, unless the kernel slept as well and `forgets` it; then the
        timers; then the watch notices how late it is."""
        self.is_stopped = False
        held, self._held = self._held, []
        for call in [] if forgets else held:
            call()
        if self._timer_is_late:
            self._timer_is_late = False
            super()._timer_due()
        self.feed(e.Woke())

    def _timer_due(self) -> None:
        if self.is_stopped:
            self._timer_is_late = True
        else:
            super()._timer_due()

    def _unexpected(self, error: Exception) -> None:
        raise error  # no test goes on over a mistake

    def told(self, kind: type[_Notice]) -> list[_Notice]:
        """The notices of one kind, in order."""
        return [notice for _, notice in self.notices if isinstance(notice, kind)]

    def time_of(self, kind: type[note.Notice]) -> float:
        """When the last notice of this kind was told."""
        return next(at for at, notice in reversed(self.notices) if isinstance(notice, kind))


def connected_at(client: Process) -> float:
    """When its only path was established."""
    (at,) = (at for at, notice in client.notices if isinstance(notice, note.PathEstablished))
    return at
