"""The command `client` with a configuration file: all its peers, until a signal ends them."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from nat_traversal.aio.local_socket import Handle, LocalSocket
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.local import own_folder
from nat_traversal.cli.manager import Manager
from nat_traversal.cli.peers.file import ClientFile
from nat_traversal.cli.peers.reload import Reloading
from nat_traversal.cli.peers.requests import Requests
from nat_traversal.cli.peers.supervisor import Supervisor
from nat_traversal.cli.start import has_terminal
from nat_traversal.cli.stop import on_demand, stop_signal
from nat_traversal.errors import InstanceRunsError, UsageError


async def run(file: ClientFile, again: Callable[[], ClientFile], console: Console) -> Exit:
    """Connect to the peers of `file`. `again` reads it anew. Raises `UsageError`."""
    manager = Manager(os.environ)
    reloading = Reloading(file, again, console, manager)
    stop = stop_signal(console, None if has_terminal() else reloading.on_signal)
    supervisor = Supervisor(console, stop)
    name = file.path.stem
    async with _answering(name, Requests(name, supervisor, reloading), console):
        manager.waiting("binding the ports of its services")
        lacking = await supervisor.open(file.plans)
        if lacking is not None:
            return lacking
        gc.freeze()  # the collector need not look at all that was imported again and again
        supervisor.start()
        on_demand(supervisor.tell_status)
        reloading.begin(supervisor)
        manager.ready(supervisor.summary)
        either: list[asyncio.Future[Any]] = [stop, supervisor.ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return stop.result() if stop.done() else supervisor.ended.result()
        finally:
            manager.stopping("saying goodbye to its peers")
            await reloading.close()
            await supervisor.close()


@asynccontextmanager
async def _answering(name: str, requests: Handle, console: Console) -> AsyncIterator[None]:
    """Answer by the local socket. A client that cannot have one does its work all the same."""
    local = LocalSocket(own_folder(os.environ) / f"{name}.sock", requests)
    try:
        await local.open()
    except InstanceRunsError:
        raise
    except UsageError as error:
        console.say(f"nat-traversal status cannot ask this client: {error}")
    try:
        yield
    finally:
        await local.close()
