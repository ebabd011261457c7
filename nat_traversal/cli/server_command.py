"""The command `server`, from its arguments to its exit status."""

from __future__ import annotations

import argparse

from nat_traversal.aio.server import serve
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.stop import stop_signal
from nat_traversal.settings import ServerLimits


async def run(options: argparse.Namespace, console: Console) -> Exit:
    limits = ServerLimits(connections=options.max_connections)
    stop = stop_signal()
    async with await serve(
        options.host, options.port, limits=limits, on_notice=console.told
    ) as server:
        console.event("listening", endpoint=server.endpoint)
        console.say(f"listening on {server.endpoint}, TCP and UDP")
        await stop
    console.event("stopped")
    return Exit.OK
