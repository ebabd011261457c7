"""The command `client` with a configuration file: all its peers, until a signal ends them."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.peers.file import ClientFile
from nat_traversal.cli.peers.supervisor import Supervisor
from nat_traversal.cli.stop import on_demand, stop_signal


async def run(file: ClientFile, console: Console) -> Exit:
    """Connect to the peers of `file`. Raises `UsageError`."""
    stop = stop_signal(console)
    supervisor = Supervisor(console, stop)
    lacking = await supervisor.open(file.plans)
    if lacking is not None:
        return lacking
    gc.freeze()  # the collector need not look at all that was imported again and again
    supervisor.start()
    on_demand(supervisor.tell_status)
    either: list[asyncio.Future[Any]] = [stop, supervisor.ended]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return stop.result() if stop.done() else supervisor.ended.result()
    finally:
        await supervisor.close()
