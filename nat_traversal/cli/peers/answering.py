"""The local socket of a running client, under a name that tells its user which client it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nat_traversal.aio.local_socket import LocalSocket
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.local import own_folder
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.peers.requests import Requests
from nat_traversal.errors import InstanceRunsError, UsageError

MOST_OF_ONE_NAME = 100
"""Clients of one id on this host: at several servers, or in several network namespaces."""
ENDS_WITHIN = 2.0
"""Seconds in which another instance may come to its end: a restart begins the new one early."""
_LOOK_EVERY = 0.1


@asynccontextmanager
async def answering(name: str, requests: Requests, console: Console) -> AsyncIterator[None]:
    """Answer by the local socket `name`. A client that cannot have one does its work all the same.

    Raises `InstanceRunsError` if another process has that name.
    """
    local = LocalSocket(_place(name), requests)
    try:
        await local.open()
    except InstanceRunsError:
        raise
    except UsageError as error:
        _lacks(console, error)
    try:
        yield
    finally:
        await local.close()


@asynccontextmanager
async def answering_by_id(
    options: ClientOptions, requests: Requests, console: Console, stop: asyncio.Future[Exit]
) -> AsyncIterator[None]:
    """The same for a client without a file, by its id. A client of that id at another server, or in another network
    namespace, is another host: then a number follows.

    Raises `UsageError` if this very host runs already, after `ENDS_WITHIN`.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + ENDS_WITHIN
    local = None
    while local is None:
        try:
            local = await _opened_by_id(options, requests)
        except InstanceRunsError:
            if loop.time() >= until:
                raise UsageError(
                    f"another client with the id {options.id} runs already for {options.server}: end that one, or "
                    "give this one another --id"
                ) from None
            await asyncio.wait({stop}, timeout=_LOOK_EVERY)
            if stop.done():
                break
        except UsageError as error:
            _lacks(console, error)
            break
    try:
        yield
    finally:
        if local is not None:
            await local.close()


async def _opened_by_id(options: ClientOptions, requests: Requests) -> LocalSocket:
    assert options.id is not None, "a random one at least"
    claim = f"{options.server} {_network()}"
    for number in range(1, MOST_OF_ONE_NAME + 1):
        name = options.id if number == 1 else f"{options.id}-{number}"
        local = LocalSocket(_place(name), requests, claim)
        try:
            await local.open()
        except InstanceRunsError as other:
            if other.claim == claim:
                raise
            continue
        requests.name = name
        return local
    raise UsageError(f"{MOST_OF_ONE_NAME} clients with the id {options.id} run already")


def _place(name: str) -> Path:
    return own_folder(os.environ) / f"{name}.sock"


def _network() -> str:
    """This process's network namespace; empty where the system has none."""
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""


def _lacks(console: Console, error: UsageError) -> None:
    console.say(f"nat-traversal status cannot ask this client: {error}")
