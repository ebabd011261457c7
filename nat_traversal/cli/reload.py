"""Reading a server's options anew while it runs: what changes at once, and what takes a restart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from nat_traversal.aio.server import Server
from nat_traversal.cli.access import read_access
from nat_traversal.cli.console import Console
from nat_traversal.cli.manager import Manager
from nat_traversal.cli.options import ServerOptions
from nat_traversal.errors import UsageError
from nat_traversal.tls import ServerTlsSettings

_AT_START = ("hosts", "port", "metrics", "store", "alternate", "relay_address")
"""Options that a running server cannot change."""
TlsOf = Callable[[ServerOptions], ServerTlsSettings | None]


class Reloading:
    """Called at each SIGHUP. `again` reads the options anew; `tls_of` makes of them the server's TLS.

    Options that cannot be used change nothing: the server goes on as before, and says why.
    """

    def __init__(
        self,
        options: ServerOptions,
        again: Callable[[], ServerOptions],
        tls_of: TlsOf,
        console: Console,
        manager: Manager,
    ) -> None:
        self._started_with = options
        self._again = again
        self._tls_of = tls_of
        self._console = console
        self._manager = manager
        self._server: Server | None = None
        self._is_wanted = False
        """Since before the server ran."""

    def begin(self, server: Server) -> None:
        """`server` runs: from now on it can change."""
        self._server = server
        if self._is_wanted:
            asyncio.get_running_loop().call_soon(self)  # once it has said that it is ready

    def __call__(self) -> None:
        if self._server is None:
            self._is_wanted = True  # the file may have changed since it was read
            return
        self._manager.reloading()
        self._reload(self._server)
        self._manager.reloaded()

    def _reload(self, server: Server) -> None:
        try:
            new = self._again()
            access = read_access(new, os.environ)
            done = server.reload(new.settings, self._tls_of(new), access)
        except UsageError as error:
            self._console.event("reload-failed", text=str(error))
            self._console.fail(f"{error}; the server goes on as before")
            return
        old = self._started_with
        restart = [*done.restart]
        restart += [name for name in _AT_START if getattr(new, name) != getattr(old, name)]
        self._console.event("reloaded", changed=done.changed, restart=restart)
        said = f"reloaded: {', '.join(done.changed) or 'nothing has changed'}"
        if restart:
            said += f"; a restart is needed for {', '.join(restart)}"
        self._console.say(said)
