"""The end of a command: Ctrl-C, SIGTERM, SIGHUP, or the reader of its events who has gone; as a future."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import Callable

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.stopping import STOPPING


def stop_signal(console: Console, reload: Callable[[], None] | None = None) -> asyncio.Future[Exit]:
    """Resolved by the first request to stop; the next one ends the process at once.

    SIGHUP counts unless it was ignored before, as ``nohup`` does, or means `reload`.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[Exit] = loop.create_future()
    asked_by = [each for each in STOPPING if each is not signal.SIGHUP or not _is_ignored(each)]
    if reload is not None:
        asked_by = [each for each in asked_by if each is not signal.SIGHUP]
        loop.add_signal_handler(signal.SIGHUP, reload)

    def end(status: Exit) -> None:
        if not stop.done():
            stop.set_result(status)

    def stopped() -> None:
        end(Exit.OK)
        for number in asked_by:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in asked_by:
        loop.add_signal_handler(number, stopped)

    def reader_left() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(end, Exit.OUTPUT_CLOSED)

    console.reader_left = reader_left
    if console.as_json:
        _watch_stdout(loop, lambda: end(Exit.OUTPUT_CLOSED))
    return stop


def on_demand(tell: Callable[[], None]) -> None:
    """Call `tell` at each SIGUSR1, from now on."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _watch_stdout(loop: asyncio.AbstractEventLoop, gone: Callable[[], None]) -> None:
    """Call `gone` once nobody can read from the pipe that stdout is, also if there is nothing to write."""
    try:
        pipe = sys.stdout.fileno()
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            return
    except (AttributeError, OSError, ValueError):  # there is no stdout
        return

    def told() -> None:
        loop.remove_reader(pipe)
        gone()

    loop.add_reader(pipe, told)  # a pipe's writing end is never readable; an error counts as that
