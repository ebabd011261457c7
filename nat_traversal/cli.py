"""The command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NoReturn

from nat_traversal import __version__
from nat_traversal import events as e
from nat_traversal.aio.client import Client, ClientConfig, parse_server
from nat_traversal.aio.datapath import Counters
from nat_traversal.aio.forwarder import IDLE, Connector, Listener, ProgramForwarder
from nat_traversal.aio.names import resolve
from nat_traversal.aio.server import serve
from nat_traversal.console import Console
from nat_traversal.endpoint import Endpoint, HostPort, parse_host_port
from nat_traversal.errors import UsageError
from nat_traversal.rendezvous import ServerLimits
from nat_traversal.wire import DEFAULT_PORT
from nat_traversal.wire.control import check_id


class Exit(IntEnum):
    """Exit statuses."""

    OK = 0
    """Stopped because it was asked to (Ctrl-C, SIGTERM)."""
    USAGE = 2
    SERVER_UNREACHABLE = 3
    TRAVERSAL_FAILED = 4
    REFUSED = 5
    CONNECTION_LOST = 6


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, not argparse's whole usage."""
        self.exit(Exit.USAGE, f"error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m nat_traversal server|client …`` and the console script ``nat-traversal``."""
    parser = _Parser("nat-traversal", description="UDP between two hosts behind NATs.")
    _version_option(parser)
    commands = parser.add_subparsers(required=True, metavar="server|client")
    _server_options(commands.add_parser("server", help="introduce hosts to each other"))
    _client_options(commands.add_parser("client", help="connect to another host"))
    return _run(parser, arguments)


def server_main(arguments: Sequence[str] | None = None) -> int:
    """``traversal_server.py`` and the console script ``traversal-server``."""
    return _run(_server_options(_Parser()), arguments)


def client_main(arguments: Sequence[str] | None = None) -> int:
    """``traversal_client.py`` and the console script ``traversal-client``."""
    return _run(_client_options(_Parser()), arguments)


def _server_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.description = "Introduces two hosts behind NATs to each other. Needs a public address."
    parser.add_argument(
        "--host",
        type=_argument(_address),
        default="0.0.0.0",  # noqa: S104
        help="IP address to listen on (default: every IPv4 address)",
    )
    parser.add_argument(
        "--port",
        type=_argument(lambda text: _number(text, 0, 65_535)),
        default=DEFAULT_PORT,
        help="TCP and UDP port (default: %(default)s; 0: any free one)",
    )
    parser.add_argument(
        "--max-connections",
        type=_argument(lambda text: _number(text, 1, 1_000_000)),
        default=ServerLimits().connections,
        help="connections at a time (default: %(default)s)",
    )
    _common_options(parser)
    parser.set_defaults(run=_serve)
    return parser


def _client_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.description = (
        "Connects to another host behind NATs and carries the UDP of ordinary programs: "
        "what is sent to --listen here comes out of --connect there, and back."
    )
    parser.add_argument(
        "--server",
        required=True,
        metavar="HOST[:PORT]",
        type=_argument(parse_server),
        help=f"the traversal server's name or address (port {DEFAULT_PORT} by default)",
    )
    parser.add_argument(
        "--id", type=_argument(check_id), help="this host's id (default: a random one)"
    )
    parser.add_argument(
        "-r",
        "--remote",
        required=True,
        metavar="ID",
        type=_argument(check_id),
        help="the other host's id",
    )
    parser.add_argument(
        "--listen",
        metavar="[HOST:]PORT",
        type=_argument(lambda text: parse_host_port(text, default_host="127.0.0.1")),
        help="take local programs' datagrams here (127.0.0.1 by default)",
    )
    parser.add_argument(
        "--connect",
        metavar="HOST:PORT",
        type=_argument(parse_host_port),
        help="hand the other side's datagrams to the service there",
    )
    parser.add_argument(
        "--once", action="store_true", help="one attempt: end when it fails or the path is lost"
    )
    parser.add_argument(
        "--idle",
        metavar="SECONDS",
        type=_argument(lambda text: _number(text, 1, 86_400)),
        default=int(IDLE),
        help="forget a local program that is silent for so long (default: %(default)s)",
    )
    _common_options(parser)
    parser.set_defaults(run=_connect)
    return parser


def _version_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=__version__)


def _common_options(parser: argparse.ArgumentParser) -> None:
    _version_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON event a line on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="only errors on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="every state change on stderr")


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(relativeCreated)d ms %(name)s: %(message)s",
    )
    console = Console(as_json=options.json, quiet=options.quiet)
    try:
        return int(asyncio.run(options.run(options, console)))
    except UsageError as error:
        console.fail(str(error))
        return Exit.USAGE
    except KeyboardInterrupt:  # before the signal handlers stood
        return Exit.OK


async def _serve(options: argparse.Namespace, console: Console) -> Exit:
    limits = ServerLimits(connections=options.max_connections)
    stop = _stop_signal()
    async with await serve(
        options.host, options.port, limits=limits, on_notice=console.told
    ) as server:
        console.event("listening", endpoint=server.endpoint)
        console.say(f"listening on {server.endpoint}, TCP and UDP")
        await stop
    console.event("stopped")
    return Exit.OK


async def _connect(options: argparse.Namespace, console: Console) -> Exit:
    if options.listen is None and options.connect is None:
        raise UsageError("nothing to forward: give --listen PORT, --connect HOST:PORT or both")
    if options.id is None:
        options.id = f"host-{secrets.token_hex(4)}"
        console.say(f"this host's id is {options.id}: the other side needs -r {options.id}")
    if options.id == options.remote:
        raise UsageError(f"--id and -r are both {options.id!r}: the two hosts need different ids")
    end = _stop_signal()

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
    listener = (
        Listener(options.listen.host, options.listen.port, counters, problem)
        if options.listen
        else None
    )
    connector = Connector(targets, counters, problem) if targets else None
    forwarder = ProgramForwarder(counters, listener, connector, problem, options.idle)
    config = ClientConfig(options.server, options.id, options.remote, options.once)
    client = Client(config, forwarder, told, counters=counters)
    console.event("started", id=options.id, peer=options.remote)
    client.start()
    try:
        return await end
    finally:
        await client.close()
        forwarder.close()
        _summary(console, counters)


def _exit_status(notice: e.Notice, *, once: bool) -> Exit | None:
    """What a notice means for a client that is about to end because of it."""
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


def _summary(console: Console, counters: Counters) -> None:
    console.event(
        "stopped",
        sent=counters.sent,
        received=counters.received,
        unsendable=counters.unsendable,
        refused=counters.refused,
        unclaimed=counters.unclaimed,
        malformed=counters.malformed,
        incomplete=counters.incomplete,
    )
    lost = [
        f"{number} {what}"
        for number, what in (
            (counters.unsendable, "could not be sent"),
            (counters.refused, "found nobody listening"),
            (counters.unclaimed, "had no taker"),
            (counters.malformed, "malformed"),
            (counters.incomplete, "incomplete"),
        )
        if number
    ]
    text = f"datagrams: {counters.sent} to the other side, {counters.received} from it"
    console.say("; ".join([text, *lost]))


def _stop_signal() -> asyncio.Future[Exit]:
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


def _address(text: str) -> str:
    return Endpoint(text, 0).address


def _number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise UsageError(f"{text!r} must be a whole number from {low} to {high}")
    return int(text)


def _argument(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Lets argparse show our own one-line error."""

    def parse_argument(text: str) -> object:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument
