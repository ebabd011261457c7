"""Faults at their moments, while something else goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Self

from natlab.errors import LabError, ProgramError
from natlab.faults.grammar import Injected, Scheduled
from natlab.faults.inject import Faults
from natlab.programs.program import Program
from natlab.sandbox.threads import LabThread

_POLL = 0.005


class Schedule:
    """Injects faults from the beginning of its ``with`` block to the end of it.

    Leaving the block raises the first error that a fault met. A fault whose moment did not come is in
    `missed`.
    """

    def __init__(self, faults: Faults, scheduled: Sequence[Scheduled]) -> None:
        """Raises `UsageError` if a fault names a node or interface that is not there."""
        for each in scheduled:
            faults.check(each.fault)
        self._faults = faults
        self._scheduled = tuple(scheduled)
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._done: dict[int, Injected] = {}
        self._threads: list[LabThread] = []

    @property
    def injected(self) -> tuple[Injected, ...]:
        """The faults that have happened, in order."""
        with self._changed:
            return tuple(sorted(self._done.values(), key=lambda each: each.at))

    @property
    def failed(self) -> bool:
        """Whether one of them could not be."""
        with self._changed:
            return bool(self._errors)

    @property
    def missed(self) -> tuple[Scheduled, ...]:
        """The faults that have not happened."""
        with self._changed:
            return tuple(
                each for number, each in enumerate(self._scheduled) if number not in self._done
            )

    def wait(self, *, timeout: float, count: int | None = None) -> None:
        """Return once `count` faults (None: all) have happened, or one has failed.

        Raises `LabError` if that takes over `timeout` seconds.
        """
        wanted = len(self._scheduled) if count is None else count
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._errors or len(self._done) >= wanted, timeout
            ):
                missed = ", ".join(map(str, self.missed))
                raise LabError(f"after {timeout:g} s still waiting for faults: {missed}")

    def __enter__(self) -> Self:
        """Times count from now."""
        began = time.monotonic()
        for number, each in enumerate(self._scheduled):
            work = partial(self._await, number, each, began)
            thread = LabThread(work, self._failed, f"fault {each}")
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._errors and error is None:
            raise self._errors[0]

    def stop(self) -> tuple[BaseException, ...]:
        """Inject no more. Returns what those that failed have raised."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return tuple(self._errors)

    def _await(self, number: int, scheduled: Scheduled, began: float) -> None:
        when = scheduled.when
        if when.program is not None and when.event is not None:
            if not self._hears(when.program, when.event):
                return
            began = time.monotonic()
        if self._over.wait(max(0.0, began + when.delay - time.monotonic())):
            return
        with self._changed:
            self._done[number] = self._faults.inject(scheduled.fault)
            self._changed.notify_all()

    def _failed(self, error: BaseException) -> None:
        with self._changed:
            self._errors.append(error)
            self._changed.notify_all()

    def _hears(self, name: str, event: str) -> bool:
        """Wait until the program says it; False if the block ends before."""
        program: Program | None = None
        seen = 0
        while not self._over.is_set():
            try:
                program = program or self._faults.program(name)
            except ProgramError:  # not yet started
                self._over.wait(_POLL)
                continue
            lines = program.lines()
            if any(event in line.text for line in lines[seen:]):
                return True
            seen = len(lines)
            self._over.wait(_POLL)
        return False
