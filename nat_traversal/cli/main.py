"""The command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

from nat_traversal.arguments import environment
from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import access, keys, log_options, venv
from nat_traversal.cli.check_arguments import check_options
from nat_traversal.cli.client_arguments import client_options, client_options_of
from nat_traversal.cli.common_arguments import add_version
from nat_traversal.cli.config_arguments import config_options
from nat_traversal.cli.config_file import merged, request_of
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.local_arguments import ping_options, reload_options, status_options
from nat_traversal.cli.options import ServerOptions
from nat_traversal.cli.pairing_arguments import (
    accept_options,
    invite_options,
    pairing_options_of,
)
from nat_traversal.cli.server_arguments import server_options, server_options_of
from nat_traversal.crypto.keyfile import SERVER_TOKEN
from nat_traversal.errors import ConfigError, UsageError
from nat_traversal.machine.failures import in_words, lacks_room

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from nat_traversal.cli.console import Console
    from nat_traversal.cli.peers.file import ClientFile

    Command = Callable[[Console], Coroutine[None, None, Exit]]
    LoopFactory = Callable[[], AbstractEventLoop]

SERVER_AT_ONCE = 1024
"""Sockets that a server reads before it says whose turn it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Each command, after its name."""
    words = sys.argv[1:] if arguments is None else arguments
    return _run(_every_command(words[:1]), words)


def every_command() -> Parser:
    """The parser of `nat-traversal`, of which the manual page and the shells' completion are made too."""
    return _every_command(())


def _every_command(asked: Sequence[str]) -> Parser:
    """With the options of the `asked` command alone, if it is one: those of all take longer than the rest of a start."""
    parser = Parser("nat-traversal", description="UDP between two hosts behind NATs.")
    add_version(parser)
    commands = parser.add_subparsers(required=True, metavar="|".join(_COMMANDS))
    for name in [name for name in asked if name in _COMMANDS] or _COMMANDS:
        purpose, add_options = _COMMANDS[name]
        add_options(commands.add_parser(name, help=purpose))
    return parser


def server_main(arguments: Sequence[str] | None = None) -> int:
    """The command `server`."""
    return _run(server_options(Parser()), arguments)


def client_main(arguments: Sequence[str] | None = None) -> int:
    """The command `client`."""
    return _run(client_options(Parser()), arguments)


def _genkey_options(parser: Parser) -> None:
    parser.description = _GENKEY
    parser.set_defaults(command="genkey")


def _gentoken_options(parser: Parser) -> None:
    parser.description = _GENTOKEN
    parser.set_defaults(command="gentoken")


def _identity_options(parser: Parser) -> None:
    parser.description = _IDENTITY
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="the private key's file (default: identity in $STATE_DIRECTORY, "
        "else in ~/.local/state/nat-traversal)",
    )
    parser.set_defaults(command="identity")


_GENKEY = "print a new key that two hosts share, for --key-file"
_IDENTITY = "make this host's private key once, for --identity, and print the public half"
_GENTOKEN = "print a new token for a server's --tokens, and for its clients' --server-token"
_COMMANDS: dict[str, tuple[str, Callable[[Parser], object]]] = {
    "server": ("introduce hosts to each other", server_options),
    "client": ("connect to another host", client_options),
    "invite": ("print one line that lets another host in", invite_options),
    "accept": ("read that line on the other host", accept_options),
    "check": ("tell how this host's NAT behaves", check_options),
    "config": ("look at a client's configuration file", config_options),
    "status": ("tell how the paths of running clients are", status_options),
    "ping": ("ping a peer through a running client's path", ping_options),
    "reload": ("let a running client read its file again", reload_options),
    "genkey": (_GENKEY, _genkey_options),
    "identity": (_IDENTITY, _identity_options),
    "gentoken": (_GENTOKEN, _gentoken_options),
}
"""Each with its purpose, and with what adds its options to a parser."""


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
    if options.command in ("invite", "accept"):
        from nat_traversal.cli import pairing_command  # noqa: PLC0415

        pairing, variables = pairing_options_of(options), dict(os.environ)
        return lambda console: pairing_command.run(pairing, console, variables)
    if options.client_file is not None:
        from nat_traversal.cli.peers import command  # noqa: PLC0415

        def anew() -> ClientFile:
            file: ClientFile = merged(given).client_file
            return file

        return partial(command.run, options.client_file, anew)
    from nat_traversal.cli import client_command  # noqa: PLC0415

    return partial(client_command.run, client_options_of(options))


def _loop_factory(options: argparse.Namespace) -> LoopFactory:
    """Of the event loop that the command runs on."""
    if not hasattr(select, "epoll"):  # not Linux
        import asyncio  # noqa: PLC0415 - late, as all that takes long

        return asyncio.new_event_loop
    from nat_traversal.aio.direct_loop import AT_ONCE, DirectLoop  # noqa: PLC0415

    return partial(DirectLoop, SERVER_AT_ONCE if options.command == "server" else AT_ONCE)


def _run(parser: Parser, arguments: Sequence[str] | None) -> int:
    given = environment.use(parser, os.environ).parse_args(arguments)
    if given.command in ("genkey", "gentoken", "identity"):
        return _make_key(given)
    if given.command in ("config-check", "status", "ping", "reload"):
        return _ask(given)
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
        return _refused(error)
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
    for line in environment.unknown(every_command, os.environ, others):
        console.say(line)
    try:
        with asyncio.Runner(loop_factory=_loop_factory(options)) as runner:
            return int(runner.run(command_of(options, given)(console)))
    except UsageError as error:
        console.fail(str(error))
        return Exit.USAGE
    except OSError as error:  # before anything runs that would try again
        if not lacks_room(error):
            raise
        console.fail(in_words(error))
        return Exit.USAGE
    except KeyboardInterrupt:  # before the signal handlers stood
        return Exit.OK
    finally:
        console.finish()


def _ask(options: argparse.Namespace) -> Exit:
    """A command that needs no event loop."""
    from nat_traversal.cli.answers import ReaderLeftError  # noqa: PLC0415
    from nat_traversal.cli.console import Console  # noqa: PLC0415

    console = Console(as_json=False)
    if options.command in ("status", "ping"):  # they have something to say at their end
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if options.command == "status":
            from nat_traversal.cli import status_command  # noqa: PLC0415

            return status_command.run(
                options.name, os.environ, console, as_json=options.json, watch=options.watch
            )
        if options.command == "ping":
            from nat_traversal.cli import ping_command  # noqa: PLC0415

            return ping_command.run(options.peer, options.name, options.count, os.environ)
        if options.command == "reload":
            from nat_traversal.cli import reload_command  # noqa: PLC0415

            return reload_command.run(options.name, os.environ, console)
        from nat_traversal.cli.peers import config_check  # noqa: PLC0415

        return config_check.run(options.file, console)
    except UsageError as error:
        return _refused(error)
    except ReaderLeftError as left:
        return left.status
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _refused(error: UsageError) -> Exit:
    """Every mistake in a line of its own."""
    from nat_traversal.cli.console import Console  # noqa: PLC0415

    console = Console(as_json=False)
    for mistake in error.mistakes if isinstance(error, ConfigError) else [str(error)]:
        console.fail(mistake)
    return Exit.USAGE


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
