"""Reading a client's file anew while it runs: at SIGHUP, and when its user asks by the local socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from nat_traversal.cli.console import Console
from nat_traversal.cli.manager import Manager
from nat_traversal.cli.peers.file import ClientFile
from nat_traversal.cli.peers.supervisor import Supervisor
from nat_traversal.errors import ConfigError, UsageError

WITHIN = 2.0
"""Seconds for a reload to end, once the client is asked to stop."""


class Reloading:
    """`again` reads the file. A file that cannot be used changes nothing: all its mistakes are told."""

    def __init__(
        self,
        file: ClientFile,
        again: Callable[[], ClientFile],
        console: Console,
        manager: Manager,
    ) -> None:
        self._file = file
        self._again = again
        self._supervisor: Supervisor | None = None
        self._console = console
        self._manager = manager
        self._one_at_a_time = asyncio.Lock()
        self._begun: set[asyncio.Task[dict[str, Any]]] = set()
        self._is_wanted = False
        """Since before the peers ran."""
        self._has_begun = False

    def begin(self, supervisor: Supervisor) -> None:
        """The peers of `supervisor` run: from now on they can change."""
        self._supervisor, self._has_begun = supervisor, True
        if self._is_wanted:
            self.on_signal()

    def on_signal(self) -> None:
        """Reload, as soon as that is possible."""
        if not self._has_begun:
            self._is_wanted = True  # the file may have changed since it was read
            return
        task = asyncio.ensure_future(self())
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    async def __call__(self) -> dict[str, Any]:
        """Reload, and say what has changed, or each mistake: for who has asked."""
        async with self._one_at_a_time:
            if self._supervisor is None:
                return {"mistakes": ["the client starts only now: wait for its peers to begin"]}
            self._manager.reloading()
            try:
                return await self._reload(self._supervisor)
            finally:
                self._manager.reloaded()

    async def close(self) -> None:
        """Let a reload that goes on come to its end, and begin no other."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHIN), self._one_at_a_time:
                self._supervisor = None

    async def _reload(self, supervisor: Supervisor) -> dict[str, Any]:
        try:
            new = self._again()
            told = await supervisor.change(new.plans)
        except UsageError as error:
            mistakes = error.mistakes if isinstance(error, ConfigError) else (str(error),)
            self._console.event("reload-failed", text=mistakes[0])
            for mistake in mistakes:
                self._console.fail(f"{mistake}; the client goes on as before")
            return {"mistakes": list(mistakes)}
        changed = told.words()
        restart = [] if new.process == self._file.process else ["json, quiet and verbose"]
        self._console.event("reloaded", changed=changed, restart=restart)
        said = f"reloaded: {', '.join(changed) or 'nothing has changed'}"
        if restart:
            said += f"; a restart is needed for {', '.join(restart)}"
        self._console.say(said)
        return {"changed": changed, "restart": restart, "text": said}
