"""Waits for what this host lacks now and time may bring: an address to listen on, a port that is still held."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.errors import LocalAddressError
from nat_traversal.machine.timers import Backoff

T = TypeVar("T")


class Patience(Protocol):
    """The settings of either command that say how long to wait."""

    @property
    def wait_first(self) -> float: ...

    @property
    def wait_most(self) -> float: ...

    @property
    def port_within(self) -> float: ...


async def acquired(
    make: Callable[[], Awaitable[T]],
    stop: asyncio.Future[Exit],
    console: Console,
    patience: Patience,
    *,
    once: bool = False,
    waiting: Callable[[str], None] = lambda _: None,
) -> T | Exit:
    """The result of `make` once this host has the address that it needs, or the status to end with.

    An address may come at any time, so this waits without limit, and tells it once. With `once` it does
    not wait. A port that another program holds is waited for as long as a restart takes. After that
    it is wrong usage: raises `LocalAddressError`, as `make` did. `waiting` hears what is waited for.
    """
    loop = asyncio.get_running_loop()
    pauses = Backoff(random.SystemRandom(), patience.wait_first, patience.wait_most)
    give_up = loop.time() + patience.port_within
    told = ""
    while True:
        try:
            return await make()
        except LocalAddressError as error:
            left = give_up - loop.time()
            if error.in_use and left <= 0:
                raise
            if once and not error.in_use:
                console.fail(str(error))
                return Exit.NOT_YET
            if str(error) != told:
                told = str(error)
                console.event("waiting", text=told)
                waiting(told)
                console.say(f"{told}; trying again until it can be used")
            pause = min(pauses.next(), left) if error.in_use else pauses.next()
        await asyncio.wait({stop}, timeout=pause)
        if stop.done():
            return stop.result()
