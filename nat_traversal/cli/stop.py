"""Ctrl-C and SIGTERM as a future."""

from __future__ import annotations

import asyncio
import signal

from nat_traversal.cli.exit import Exit


def stop_signal() -> asyncio.Future[Exit]:
    """Resolved by the first SIGINT or SIGTERM; the next one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[Exit] = loop.create_future()

    def stopped() -> None:
        if not stop.done():
            stop.set_result(Exit.OK)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped)
    return stop
