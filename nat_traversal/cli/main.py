"""The command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TextIO, TypeVar

from nat_traversal.arguments import environment
from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.arguments.parser import Parser, checked
from nat_traversal.cli import access, keys, log_options, relay, tls, venv
from nat_traversal.cli.check_arguments import check_options
from nat_traversal.cli.common_arguments import add_common, add_set, add_version
from nat_traversal.cli.config_file import merged, request_of
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ClientOptions, ServerOptions
from nat_traversal.cli.server_arguments import server_options, server_options_of
from nat_traversal.crypto.keyfile import SERVER_TOKEN
from nat_traversal.errors import UsageError
from nat_traversal.settings import ClientSettings
from nat_traversal.settings import parse as parse_settings
from nat_traversal.wire import DEFAULT_PORT
from nat_traversal.wire.endpoint import parse_host_port
from nat_traversal.wire.ids import check_id, parse_server
from nat_traversal.wire.methods import MethodName

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from nat_traversal.cli.console import Console

    P = TypeVar("P", bound=argparse.ArgumentParser)
    Command = Callable[[Console], Coroutine[None, None, Exit]]
    LoopFactory = Callable[[], AbstractEventLoop]

SERVER_AT_ONCE = 1024
"""Sockets that a server reads before it says whose turn it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Each command, after its name."""
    return _run(every_command(), arguments)


def every_command() -> Parser:
    """The parser of `nat-traversal`, of which the manual page and the shells' completion are made too."""
    parser = Parser("nat-traversal", description="UDP between two hosts behind NATs.")
    add_version(parser)
    commands = parser.add_subparsers(
        required=True, metavar="server|client|check|genkey|identity|gentoken"
    )
    server_options(commands.add_parser("server", help="introduce hosts to each other"))
    client_options(commands.add_parser("client", help="connect to another host"))
    check_options(commands.add_parser("check", help="tell how this host's NAT behaves"))
    _key_commands(commands)
    return parser


def server_main(arguments: Sequence[str] | None = None) -> int:
    """The command `server`."""
    return _run(server_options(Parser()), arguments)


def client_main(arguments: Sequence[str] | None = None) -> int:
    """The command `client`."""
    return _run(client_options(Parser()), arguments)


def client_options(parser: P) -> P:
    """Add the options of the client."""
    parser.description = (
        "Connects to another host behind NATs and carries the UDP of ordinary programs: "
        "datagrams to --listen here come out of --connect there, and their answers back."
    )
    parser.add_argument(
        "--server",
        required=True,
        metavar="HOST[:PORT]",
        type=checked(parse_server),
        help=f"the traversal server's name or address (port {DEFAULT_PORT} by default)",
    )
    parser.add_argument(
        "--id", type=checked(check_id), help="this host's id (default: a random one)"
    )
    parser.add_argument(
        "-r",
        "--remote",
        required=True,
        metavar="ID",
        type=checked(check_id),
        help="the other host's id",
    )
    parser.add_argument(
        "--listen",
        metavar="[HOST:]PORT",
        type=checked(lambda text: parse_host_port(text, default_host="127.0.0.1")),
        help="take local programs' datagrams here (127.0.0.1 by default)",
    )
    parser.add_argument(
        "--connect",
        metavar="HOST:PORT",
        type=checked(parse_host_port),
        help="hand the other side's datagrams to the service there",
    )
    parser.add_argument(
        "--once", action="store_true", help="one attempt: end when it fails or the path is lost"
    )
    parser.add_argument(
        "--idle",
        metavar="DURATION",
        type=checked(lambda text: parse_duration(text, least=1.0, most=DAY)),
        help="forget a local program that is silent for so long "
        f"(default: {ClientSettings().flow_idle:g}s)",
    )
    parser.add_argument(
        "--consent",
        metavar="DURATION",
        type=checked(lambda text: parse_duration(text, least=1.0, most=DAY)),
        help="give a path up after so long without an answer to the pings on it, which come at "
        f"least six times in that time (default: {ClientSettings().consent:g}s)",
    )
    parser.add_argument(
        "--mtu",
        metavar="OCTETS",
        type=checked(lambda text: parse_settings(ClientSettings, [f"mtu={text}"]).mtu),
        help="send no longer IP packets than this to the other side, headers included, and look "
        "for no other size (default: 0, find the longest that pass)",
    )
    relay.add_client_options(parser)
    keys.add_options(parser)
    access.add_client_options(parser)
    tls.add_client_options(parser)
    add_set(parser, "announce-first=200ms")
    add_common(parser)
    parser.set_defaults(command="client")
    return parser


def _key_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    shared = "print a new key that two hosts share, for --key-file"
    commands.add_parser("genkey", help=shared, description=shared).set_defaults(command="genkey")
    for_server = "print a new token for a server's --tokens, and for its clients' --server-token"
    commands.add_parser("gentoken", help=for_server, description=for_server).set_defaults(
        command="gentoken"
    )
    own = "make this host's private key once, for --identity, and print the public half"
    identity = commands.add_parser("identity", help=own, description=own)
    identity.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="the private key's file (default: identity in $STATE_DIRECTORY, "
        "else in ~/.local/state/nat-traversal)",
    )
    identity.set_defaults(command="identity")


def command_of(options: argparse.Namespace, given: argparse.Namespace) -> Command:
    """The coroutine of the command. It reads no more than this needs: a server needs no client.

    `given`: the command line alone; `options`: with what its file adds.
    """
    if options.command == "server":
        from nat_traversal.cli import server_command  # noqa: PLC0415

        def again() -> ServerOptions:
            return request_of(merged(given), server_options_of)

        request = request_of(options, server_options_of)
        return partial(server_command.run, request, again if given.config else None)
    if options.command == "check":
        from nat_traversal.cli import check_command  # noqa: PLC0415

        return partial(check_command.run, options.server, float(options.lifetime))
    from nat_traversal.cli import client_command  # noqa: PLC0415

    return partial(client_command.run, client_options_of(options))


def _loop_factory(options: argparse.Namespace) -> LoopFactory:
    """Of the event loop that the command runs on."""
    from nat_traversal.aio.direct_loop import AT_ONCE, quick_loop  # noqa: PLC0415

    return partial(quick_loop, SERVER_AT_ONCE if options.command == "server" else AT_ONCE)


def client_options_of(options: argparse.Namespace) -> ClientOptions:
    """The client's request, checked. Raises `UsageError`."""
    settings = parse_settings(ClientSettings, options.set)
    for option, name in (("idle", "flow-idle"), ("consent", "consent"), ("mtu", "mtu")):
        twice = any(word.startswith(f"{name}=") for word in options.set)
        if twice and getattr(options, option) is not None:
            raise UsageError(f"--{option} and --set {name} say the same: give one of them")
    if options.idle is not None:
        settings = replace(settings, flow_idle=options.idle)
    if options.consent is not None:
        settings = settings.with_consent(float(options.consent))
    if options.mtu is not None:
        settings = replace(settings, mtu=options.mtu)
    return ClientOptions(
        server=options.server,
        id=options.id,
        remote=options.remote,
        listen=options.listen,
        connect=options.connect,
        once=options.once,
        settings=settings,
        keys=keys.key_options(options),
        token_file=access.token_file(options),
        tls=tls.client_tls(options),
        relaying=relay.relaying_of(options),
        may_join=options.methods is None or MethodName.RELAY_TCP in options.methods,
        methods=relay.further_methods(options),
    )


def _run(parser: Parser, arguments: Sequence[str] | None) -> int:
    given = environment.use(parser, os.environ).parse_args(arguments)
    if given.command in ("genkey", "gentoken", "identity"):
        return _make_key(given)
    # Neither is needed to read the arguments or to show help.
    import asyncio  # noqa: PLC0415
    import logging  # noqa: PLC0415

    from nat_traversal.cli.console import Console  # noqa: PLC0415
    from nat_traversal.cli.console_log import ConsoleHandler  # noqa: PLC0415

    dated = is_log_file(sys.stderr)
    try:
        options = merged(given)
        veil = request_of(options, log_options.veil_of)
    except UsageError as error:
        Console(as_json=False).fail(str(error))
        return Exit.USAGE
    console = Console(
        as_json=options.json,
        quiet=options.quiet,
        form=log_options.form_of(options, dated=dated),
        veil=veil,
    )
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format=f"{'%(asctime)s' if dated else '%(relativeCreated)d ms'} %(name)s: %(message)s",
        handlers=[ConsoleHandler(console)],
    )
    console.never_wait()
    others = (keys.VARIABLE, access.VARIABLE, venv.TRIED)
    for line in environment.unknown(every_command(), os.environ, others):
        console.say(line)
    try:
        with asyncio.Runner(loop_factory=_loop_factory(options)) as runner:
            return int(runner.run(command_of(options, given)(console)))
    except UsageError as error:
        console.fail(str(error))
        return Exit.USAGE
    except KeyboardInterrupt:  # before the signal handlers stood
        return Exit.OK
    finally:
        console.finish()


def _make_key(options: argparse.Namespace) -> Exit:
    from nat_traversal.cli import make_keys  # noqa: PLC0415
    from nat_traversal.cli.console import Console  # noqa: PLC0415

    console = Console(as_json=False)
    try:
        if options.command == "genkey":
            return make_keys.genkey(console)
        if options.command == "gentoken":
            return make_keys.genkey(console, SERVER_TOKEN)
        return make_keys.identity(console, options.file)
    except UsageError as error:
        console.fail(str(error))
        return Exit.USAGE


def is_log_file(stream: TextIO | None) -> bool:
    """Whether lines need times of their own: a terminal has somebody before it, systemd's journal has times."""
    try:
        if stream is None or stream.isatty():
            return False
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # it is closed, or no file
        return False
    return os.environ.get("JOURNAL_STREAM") != f"{status.st_dev}:{status.st_ino}"
