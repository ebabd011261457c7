"""The command `server`, from its options to its exit status."""

from __future__ import annotations

import asyncio
import datetime
import gc
import os
from collections.abc import Callable
from pathlib import Path

from nat_traversal.aio.server import Server, serve
from nat_traversal.cli import certificate
from nat_traversal.cli.access import read_access
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.manager import Manager, inherited
from nat_traversal.cli.options import ServerOptions
from nat_traversal.cli.reload import Reloading
from nat_traversal.cli.server_log import ServerLog
from nat_traversal.cli.state import state_directory
from nat_traversal.cli.stop import stop_signal
from nat_traversal.cli.tls import SelfSigned
from nat_traversal.cli.waiting import acquired
from nat_traversal.cli.watched import watched
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ServerSettings
from nat_traversal.tls import ServerTlsSettings, fingerprint_text

GARBAGE = (10_000, 20, 50)
"""How much is made until the collector looks: with 15,000 clients each look at all of them takes half a second."""


async def run(
    options: ServerOptions, again: Callable[[], ServerOptions] | None, console: Console
) -> Exit:
    """Serve until a signal ends it. `again` reads the options anew at SIGHUP; None: SIGHUP ends it too."""
    manager, sockets = Manager(os.environ), inherited(os.environ)
    reloading = None if again is None else Reloading(options, again, _tls_of, console, manager)
    stop = stop_signal(console, reloading)
    settings = options.settings
    counters = Counters()
    log = ServerLog(console, settings, counters, asyncio.get_running_loop().time)

    tls, access = _tls_of(options), read_access(options, os.environ)

    async def start() -> Server:
        return await serve(
            options.hosts,
            options.port,
            settings=settings,
            tls=tls,
            access=access,
            sockets=sockets,
            on_notice=log.told,
            counters=counters,
            store=options.store,
            alternate=options.alternate,
            relay_address=options.relay_address,
        )

    started = await acquired(start, stop, console, settings, waiting=manager.waiting)
    if isinstance(started, Exit):
        return started
    gc.set_threshold(*GARBAGE)
    gc.freeze()  # the collector need not look at all that was imported again and again
    async with started as server, watched(server, options.metrics, console, settings):
        _tell(server, console)
        if reloading is not None:
            reloading.begin(server)
        manager.ready(lambda: _status(server), settings.status_every)
        status = await stop
        manager.stopping(f"draining {_status(server)}")
        if status is Exit.OK:
            await _drain(server, console, settings)
    console.event("stopped")
    return status


def _status(server: Server) -> str:
    registered, connections = len(server.rendezvous.registered), len(server.connections)
    return f"{registered} hosts on {connections} connections, {server.attempts} attempts"


async def _drain(server: Server, console: Console, settings: ServerSettings) -> None:
    """Send everybody away. A second request to stop ends the process meanwhile."""
    connections, attempts = len(server.connections), server.attempts
    console.event("draining", connections=connections, attempts=attempts)
    if attempts:
        console.say(
            f"ending once {attempts} attempts are over, within {settings.drain_within:g} s; "
            "a second request ends it at once"
        )
    await server.drain()


def _tell(server: Server, console: Console) -> None:
    fingerprint = None if server.fingerprint is None else fingerprint_text(server.fingerprint)
    for endpoint in server.endpoints:
        if fingerprint is None:
            console.event("listening", endpoint=endpoint)
            console.say(f"listening on {endpoint}, TCP and UDP")
        else:
            console.event("listening", endpoint=endpoint, fingerprint=fingerprint)
            console.say(f"listening on {endpoint}, TLS and UDP")
    if fingerprint is not None:
        console.say(f"clients know this server by --server-fingerprint {fingerprint}")


def _tls_of(options: ServerOptions) -> ServerTlsSettings | None:
    if not isinstance(options.tls, SelfSigned):
        return options.tls
    given = options.tls.directory
    directory = Path(given) if given else state_directory(os.environ)
    return certificate.kept(directory, datetime.datetime.now(datetime.UTC))
