"""The lines of a server for its operator. Anybody can cause them, so each source gets few for each reason."""

from __future__ import annotations

from collections.abc import Callable

from nat_traversal.cli.console import Console
from nat_traversal.cli.teller import Teller
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ServerSettings


class ServerLog:
    """Takes a server's notices. `clock` gives seconds."""

    def __init__(
        self,
        console: Console,
        settings: ServerSettings,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._console = console
        self._teller = Teller(
            clock, settings.log_every, most=settings.log_most, burst=settings.log_burst
        )
        self._kept_back = counters.counter(
            "lines-kept-back", "a line that was not told: its source had caused too many"
        )
        self._dropped = counters.counter(
            "lines-dropped", "a line that was not written: nobody read the log in time"
        )

    def told(self, notice: note.Notice) -> None:
        """One notice of the server."""
        code, source = getattr(notice, "code", ""), getattr(notice, "source", "")
        self._console.told_now_and_then(notice, self._teller, (code, source))
        self._kept_back.value = self._teller.kept_back
        self._dropped.value = self._console.dropped
