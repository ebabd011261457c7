"""A process in the world: the adapters' driver on the virtual clock, and what it has told."""

from __future__ import annotations

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

    def feed(self, event: e.Event) -> None:
        if not self.is_dead:
            super().feed(event)

    def _unexpected(self, error: Exception) -> None:
        raise error  # no test goes on over a mistake

    def told(self, kind: type[_Notice]) -> list[_Notice]:
        """The notices of one kind, in order."""
        return [notice for _, notice in self.notices if isinstance(notice, kind)]

    def time_of(self, kind: type[note.Notice]) -> float:
        """When the last notice of this kind was told."""
        return next(at for at, notice in reversed(self.notices) if isinstance(notice, kind))
