"""Waiting for something on real sockets, and addresses on 127.0.0.0/8 where nobody listens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from nat_traversal import Endpoint

DEADLINE = 30.0
"""Seconds until a test stops waiting for something. It says nothing about how long that takes."""
N = TypeVar("N")


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + DEADLINE
    while not condition():
        assert loop.time() < give_up, f"in vain: {what}"
        await asyncio.sleep(0.002)


def unused() -> Endpoint:
    """Where nobody listens, over UDP or TCP, unless the test does.

    The loopback address is random and the port below those that the kernel gives to others.
    """
    numbers = random.SystemRandom()
    middle = f"{numbers.randint(1, 254)}.{numbers.randint(0, 255)}"
    return Endpoint(f"127.{middle}.{numbers.randint(1, 254)}", 16_545)
