"""The command `server`, from its options to its exit status."""

from __future__ import annotations

from nat_traversal.aio.server import serve
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ServerOptions
from nat_traversal.cli.stop import stop_signal


async def run(options: ServerOptions, console: Console) -> Exit:
    stop = stop_signal(console)
    async with await serve(
        options.host, options.port, settings=options.settings, on_notice=console.told
    ) as server:
        console.event("listening", endpoint=server.endpoint)
        console.say(f"listening on {server.endpoint}, TCP and UDP")
        status = await stop
    console.event("stopped")
    return status
