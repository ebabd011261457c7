"""The command `client` for one peer, from its options to its exit status."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nat_traversal.cli.client_arguments import check_can_begin, random_id
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.peers.answering import answering_by_id
from nat_traversal.cli.peers.peer_client import PeerClient
from nat_traversal.cli.peers.plan import plan_of
from nat_traversal.cli.peers.requests import Requests
from nat_traversal.cli.stop import on_demand, stop_signal


@dataclass(frozen=True)
class Alone:
    """The one client of this process."""

    peers: Mapping[str, PeerClient]


async def run(options: ClientOptions, console: Console) -> Exit:
    """Connect until that ends, or a signal ends it. Raises `UsageError`."""
    check_can_begin(options)
    if options.id is None:
        options = replace(options, id=random_id("host"))
        console.say(f"this host's id is {options.id}: the other side needs -r {options.id}")
    plan = plan_of(options, os.environ)
    stop = stop_signal(console)
    peer = PeerClient(plan, console, stop)
    requests = Requests(str(options.id), Alone({plan.peer: peer}))
    async with answering_by_id(options, requests, console, stop):
        return stop.result() if stop.done() else await _connect(options, peer, stop)


async def _connect(options: ClientOptions, peer: PeerClient, stop: asyncio.Future[Exit]) -> Exit:
    lacking = await peer.open()
    if lacking is not None:
        return lacking
    gc.freeze()  # the collector need not look at all that was imported again and again
    peer.start()
    on_demand(peer.tell_status)
    patience = None
    if options.wait is not None:
        loop = asyncio.get_running_loop()
        patience = loop.call_later(options.wait, peer.give_up, options.wait)
    either: list[asyncio.Future[Any]] = [stop, peer.ended]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return stop.result() if stop.done() else peer.ended.result()
    finally:
        if patience is not None:
            patience.cancel()
        await peer.close()
