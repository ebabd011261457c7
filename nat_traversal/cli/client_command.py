"""The command `client`, from its options to its exit status."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Iterator
from functools import partial

from nat_traversal.aio.client import Client, ClientConfig
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import Problem, Traffic
from nat_traversal.aio.flow_table import EVICTED
from nat_traversal.aio.forwarder import Listener, ProgramForwarder
from nat_traversal.aio.service import NamedService, service_at
from nat_traversal.cli.access import read_token
from nat_traversal.cli.client_arguments import check_can_begin, random_id
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.key_log import key_log
from nat_traversal.cli.keys import read_keys
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.security import security_of
from nat_traversal.cli.services import NamedEnd, offers_of
from nat_traversal.cli.stop import on_demand, stop_signal
from nat_traversal.cli.teller import Teller
from nat_traversal.cli.waiting import acquired
from nat_traversal.client.path_status import PathKind, PathStatus, sentence
from nat_traversal.errors import NameUnresolvedError
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.messages import Serves
from nat_traversal.wire.services import UNNAMED, Side


async def run(options: ClientOptions, console: Console) -> Exit:
    check_can_begin(options)
    own_id = options.id
    if own_id is None:
        own_id = random_id("host")
        console.say(f"this host's id is {own_id}: the other side needs -r {own_id}")
    keys = read_keys(options.keys, options.remote, os.environ)
    security = security_of(keys, options.remote)
    log_key, server_token = (
        key_log(options.keys.key_log),
        read_token(options.token_file, os.environ),
    )
    settings = options.settings
    end = stop_signal(console)

    now_and_then = Teller(asyncio.get_running_loop().time, settings.tell_again)

    def told(notice: note.Notice) -> None:
        match notice:
            case note.AnnounceUnanswered() | note.AskedBy():  # these may come without end
                console.told_now_and_then(notice, now_and_then, None)
            case note.RelayTold(code, _):
                console.told_now_and_then(notice, now_and_then, code)
            case note.ServerLost(reason, float()):
                console.told_now_and_then(notice, now_and_then, reason)
            case _:
                console.told(notice)
        match notice:
            case note.RegisteredAtServer():
                now_and_then.forget(
                    lambda kind: isinstance(kind, tuple) and kind[0] is note.ServerLost
                )
            case note.PathEstablished():
                for step in _next_steps(options):
                    console.say(step)
        status = exit_status(notice, once=options.once)
        if status is not None and not end.done():
            end.set_result(status)

    counters = Counters()

    def problem(text: str) -> None:
        console.problem(text, now_and_then)

    def service_changed(up: bool, number: int = UNNAMED) -> None:
        client.feed(e.ServiceChanged(up, options.remote, number))

    forwarder = await _forwarder(
        options, end, console, counters, problem=problem, service_changed=service_changed
    )
    if isinstance(forwarder, Exit):
        return forwarder
    config = ClientConfig(
        options.server,
        own_id,
        options.remote,
        options.once,
        settings,
        serves=_serves(options),
        security=security,
        tls=options.tls,
        relaying=options.relaying,
        log_key=log_key,
        server_token=server_token,
        may_join=options.may_join,
        methods=options.methods,
        services=offers_of(options.services),
    )
    client = Client(config, forwarder, told, counters=counters)
    console.event("started", id=own_id, peer=options.remote)
    gc.freeze()  # the collector need not look at all that was imported again and again
    client.start()
    on_demand(lambda: tell_status(console, client.status()))
    try:
        return await end
    finally:
        await _close(client, forwarder, console, counters)


async def _close(
    client: Client, forwarder: ProgramForwarder, console: Console, counters: Counters
) -> None:
    """End both, and say how it went."""
    last = client.status()
    await client.close()
    forwarder.close()
    if last.path is not PathKind.NONE:
        tell_status(console, last)
    tell_summary(console, counters)


async def _forwarder(
    options: ClientOptions,
    end: asyncio.Future[Exit],
    console: Console,
    counters: Counters,
    *,
    problem: Problem,
    service_changed: Callable[..., None],
) -> ProgramForwarder | Exit:
    """The sockets towards programs, or the status to end with if this host lacks what they need."""
    settings = options.settings
    connector = listener = None
    if options.connect is not None:
        service = service_at(options.connect, settings, problem)
        if isinstance(service, NamedService):
            ended = await _look_up(service, options, end, console)
            if ended is not None:
                return ended
        connector = Connector(service, counters, problem, settings, service_changed)
    if options.listen is not None:
        at = options.listen

        async def listen() -> Listener:
            return Listener(at, counters, problem, settings)

        made = await acquired(listen, end, console, settings, once=options.once)
        if isinstance(made, Exit):
            if connector is not None:
                connector.close()
            return made
        listener = made
    forwarder = ProgramForwarder(counters, listener, connector, problem, settings)
    for number, named in enumerate(options.services, 1):
        changed = partial(service_changed, number=number)
        side = await _named_side(named, options, end, console, counters, changed, problem)
        if isinstance(side, Exit):
            forwarder.close()
            return side
        forwarder.add(number, side, listens=named.side is Side.LISTEN)
    return forwarder


async def _named_side(  # noqa: PLR0917 - all that a side needs
    service: NamedEnd,
    options: ClientOptions,
    end: asyncio.Future[Exit],
    console: Console,
    counters: Counters,
    changed: Callable[[bool], None],
    problem: Problem,
) -> Listener | Connector | Exit:
    """One named service's sockets, or the status to end with."""
    settings = options.settings

    def named(text: str) -> None:
        problem(f"service {service.name}: {text}")

    if service.side is Side.LISTEN:

        async def listen() -> Listener:
            return Listener(service.at, counters, named, settings)

        return await acquired(listen, end, console, settings, once=options.once)
    behind = service_at(service.at, settings, named)
    if isinstance(behind, NamedService):
        ended = await _look_up(behind, options, end, console)
        if ended is not None:
            return ended
    return Connector(behind, counters, named, settings, changed)


def tell_status(console: Console, status: PathStatus) -> None:
    """Say in one sentence, and as an event, which path there is and why no better one."""
    console.event("path-status", **status.as_json())
    console.say(sentence(status))


def _serves(options: ClientOptions) -> Serves:
    sides = {service.side for service in options.services}
    if options.listen:
        sides.add(Side.LISTEN)
    if options.connect:
        sides.add(Side.CONNECT)
    if len(sides) > 1:
        return Serves.BOTH
    return Serves.LISTEN if Side.LISTEN in sides else Serves.CONNECT


def _next_steps(options: ClientOptions) -> Iterator[str]:
    """The next steps of a user once a path stands."""
    if options.listen is not None:
        yield f"ready: send your program's datagrams to {options.listen}"
    if options.connect is not None:
        yield f"ready: datagrams of the other side's programs go to {options.connect}"
    for service in options.services:
        if service.side is Side.LISTEN:
            yield f"service {service.name}: send your program's datagrams to {service.at}"
        else:
            yield f"service {service.name}: datagrams of the other side's programs go to {service.at}"


def exit_status(notice: note.Notice, *, once: bool) -> Exit | None:
    """The meaning of a notice for a client that is about to end because of it."""
    match notice:
        case note.ServerRefused():
            return Exit.REFUSED
        case note.ServerLost(_, None):
            return Exit.SERVER_UNREACHABLE
        case note.AttemptFailed(_, _, None):
            return Exit.TRAVERSAL_FAILED
        case note.PathLost(_, False) if once:
            return Exit.CONNECTION_LOST
    return None


_LOST = {
    "unsendable": "could not be sent",
    "refused": "found nobody listening",
    "unreachable": "were lost on the way",
    "foreign": "came from other hosts",
    "unclaimed": "had no taker",
    "malformed": "malformed",
    "stranger": "of no path of ours",
    "replayed": "came twice or too late",
    "not-authentic": "not sealed by the other side",
    "incomplete": "incomplete",
    "handshake-forged": "forged in the handshake",
    "handshake-replayed": "replayed in the handshake",
}
"""The ends of datagrams that did not cross, in few words."""


def tell_summary(console: Console, counters: Counters) -> None:
    """Say how many datagrams crossed, and what became of the others."""
    Traffic(counters)  # also where no datagram came, every number is told
    counts = counters.snapshot()
    console.event("stopped", **counts)
    text = f"datagrams: {counts['sent']} to the other side, {counts['received']} from it"
    lost = [f"{counts[name]} {what}" for name, what in _LOST.items() if counts[name]]
    if evicted := counts.get(EVICTED, 0):
        lost.append(f"{evicted} programs' flows made room for others")
    console.say("; ".join([text, *lost]))


async def _look_up(
    service: NamedService, options: ClientOptions, end: asyncio.Future[Exit], console: Console
) -> Exit | None:
    """Begin to look the service's name up. With ``--once`` wait for the answer: the status if there is none."""
    if not options.once:
        service.ask(lambda: None)  # so that trouble is told before the first datagram comes
        return None
    asking = asyncio.ensure_future(service.first())
    await asyncio.wait((asking, end), return_when=asyncio.FIRST_COMPLETED)
    if end.done():
        asking.cancel()
        return end.result()
    try:
        await asking
    except NameUnresolvedError as error:
        console.fail(f"--connect {options.connect}: {error}")
        return Exit.NOT_YET
    return None
