"""The command `client`, from its options to its exit status."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable

from nat_traversal.aio.client import Client, ClientConfig
from nat_traversal.aio.datapath import Traffic
from nat_traversal.aio.forwarder import Connector, Listener, ProgramForwarder
from nat_traversal.aio.resolver import resolve
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.stop import stop_signal
from nat_traversal.errors import UsageError
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.messages import Serves


async def run(options: ClientOptions, console: Console) -> Exit:
    if options.listen is None and options.connect is None:
        raise UsageError("nothing to forward: give --listen PORT, --connect HOST:PORT or both")
    own_id = options.id
    if own_id is None:
        own_id = f"host-{random.SystemRandom().randbytes(4).hex()}"
        console.say(f"this host's id is {own_id}: the other side needs -r {own_id}")
    if own_id == options.remote:
        raise UsageError(f"--id and -r are both {own_id!r}: the two hosts need different ids")
    settings = options.settings
    end = stop_signal(console)

    def told(notice: e.Notice) -> None:
        console.told(notice)
        status = _exit_status(notice, once=options.once)
        if status is not None and not end.done():
            end.set_result(status)

    counters = Counters()
    problem = _once_each(console)
    targets: list[Endpoint] = []
    if options.connect:
        asking = asyncio.ensure_future(_targets(options.connect))
        await asyncio.wait((asking, end), return_when=asyncio.FIRST_COMPLETED)
        if end.done():
            asking.cancel()
            return Exit.OK
        targets = asking.result()
    listen = options.listen
    listener = Listener(listen, counters, problem, settings) if listen else None
    connector = Connector(targets, counters, problem, settings) if targets else None
    forwarder = ProgramForwarder(counters, listener, connector, problem, settings)
    serves = _serves(options)
    config = ClientConfig(
        options.server,
        own_id,
        options.remote,
        options.once,
        settings,
        serves=serves,
        tls=options.tls,
    )
    client = Client(config, forwarder, told, counters=counters)
    console.event("started", id=own_id, peer=options.remote)
    client.start()
    try:
        return await end
    finally:
        await client.close()
        forwarder.close()
        _summary(console, counters)


def _serves(options: ClientOptions) -> Serves:
    if options.listen and options.connect:
        return Serves.BOTH
    return Serves.LISTEN if options.listen else Serves.CONNECT


def _exit_status(notice: e.Notice, *, once: bool) -> Exit | None:
    """The meaning of a notice for a client that is about to end because of it."""
    match notice:
        case e.ServerRefused():
            return Exit.REFUSED
        case e.ServerLost(_, None):
            return Exit.SERVER_UNREACHABLE
        case e.AttemptFailed(_, _, None):
            return Exit.TRAVERSAL_FAILED
        case e.PathLost(_, False) if once:
            return Exit.CONNECTION_LOST
    return None


_LOST = {
    "unsendable": "could not be sent",
    "refused": "found nobody listening",
    "unclaimed": "had no taker",
    "malformed": "malformed",
    "incomplete": "incomplete",
}
"""What became of datagrams that did not cross, in few words."""


def _summary(console: Console, counters: Counters) -> None:
    Traffic(counters)  # also where no datagram came, every number is told
    counts = counters.snapshot()
    console.event("stopped", **counts)
    text = f"datagrams: {counts['sent']} to the other side, {counts['received']} from it"
    lost = [f"{counts[name]} {what}" for name, what in _LOST.items() if counts[name]]
    console.say("; ".join([text, *lost]))


def _once_each(console: Console) -> Callable[[str], None]:
    """Tells each problem once, however many datagrams have it."""
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told and len(told) < 100:
            told.add(text)
            console.event("problem", text=text)
            console.say(text)

    return tell


async def _targets(connect: HostPort) -> list[Endpoint]:
    try:
        return await resolve(connect)
    except socket.gaierror:
        raise UsageError(f"--connect {connect}: the name cannot be resolved") from None
