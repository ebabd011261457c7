"""The command `client` with a configuration file: all its peers, until a signal ends them."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import Any

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.manager import Manager
from nat_traversal.cli.peers.answering import answering
from nat_traversal.cli.peers.file import ClientFile
from nat_traversal.cli.peers.reload import Reloading
from nat_traversal.cli.peers.requests import Requests
from nat_traversal.cli.peers.supervisor import Supervisor
from nat_traversal.cli.stop import on_demand, stop_signal
from nat_traversal.cli.stopping import has_terminal


async def run(file: ClientFile, again: Callable[[], ClientFile], console: Console) -> Exit:
    """Connect to the peers of `file`. `again` reads it anew. Raises `UsageError`."""
    manager = Manager(os.environ)
    reloading = Reloading(file, again, console, manager)
    stop = stop_signal(console, None if has_terminal() else reloading.on_signal)
    supervisor = Supervisor(console, stop)
    name = file.path.stem
    async with answering(name, Requests(name, supervisor, reloading), console):
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
