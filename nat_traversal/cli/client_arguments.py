"""The options of the command `client`: how they are read, and what they ask for."""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from typing import TypeVar

from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.arguments.parser import checked
from nat_traversal.arguments.ranges import parse as parse_settings
from nat_traversal.cli import access, keys, relay, tls, turn
from nat_traversal.cli.common_arguments import add_common, add_set
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.services import (
    NamedEnd,
    check_services,
    check_tcp,
    parse_end,
    parse_service,
)
from nat_traversal.errors import UsageError
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import DEFAULT_PORT
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.ids import check_id, parse_server
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.services import Side

P = TypeVar("P", bound=argparse.ArgumentParser)


def client_options(parser: P) -> P:
    """Add the options of the client."""
    parser.description = (
        "Connects to another host behind NATs and carries the UDP of ordinary programs: "
        "datagrams to --listen here come out of --connect there, and their answers back."
    )
    add_server(parser, required=False)  # a file may say it
    add_ids(parser)
    parser.add_argument(
        "--config",
        metavar="FILE|NAME",
        help="a TOML file with any number of peers (docs/client-config.md), or its name in "
        "~/.config/nat-traversal or /etc/nat-traversal; without -r client.toml there, if it is there",
    )
    add_services(parser)
    relay.add_client_options(parser)
    turn.add_client_options(parser)
    keys.add_options(parser)
    access.add_client_options(parser)
    tls.add_client_options(parser)
    add_set(parser, "announce-first=200ms")
    add_common(parser)
    parser.set_defaults(command="client", parser=parser, client_file=None)
    return parser


def add_server(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The server that introduces the hosts."""
    parser.add_argument(
        "--server",
        required=required,
        metavar="HOST[:PORT]",
        type=checked(parse_server),
        help=f"the traversal server's name or address (port {DEFAULT_PORT} by default)",
    )


def add_ids(parser: argparse.ArgumentParser, *, random_peer: bool = False) -> None:
    """The hosts' ids. `random_peer`: the other host's may be left out as well."""
    parser.add_argument(
        "--id", type=checked(check_id), help="this host's id (default: a random one)"
    )
    parser.add_argument(
        "-r",
        "--remote",
        metavar="ID",
        type=checked(check_id),
        help="the other host's id" + (" (default: a random one)" if random_peer else ""),
    )


def add_services(parser: argparse.ArgumentParser) -> None:
    """The ends of the forwarding, and how long a flow or a path may be silent."""
    parser.add_argument(
        "--listen",
        metavar="[tcp:][HOST:]PORT",
        type=checked(lambda text: parse_end(Side.LISTEN, text)),
        help="take local programs' datagrams here (127.0.0.1 by default), or with tcp: their TCP connections",
    )
    parser.add_argument(
        "--connect",
        metavar="[tcp:]HOST:PORT",
        type=checked(lambda text: parse_end(Side.CONNECT, text)),
        help="hand the other side's datagrams to the service there, or with tcp: its TCP connections",
    )
    parser.add_argument(
        "--service",
        action="append",
        default=[],
        metavar="NAME:SIDE=ADDRESS",
        type=checked(parse_service),
        help="a service with a name that the other side has too: NAME:listen=[HOST:]PORT here and "
        "NAME:connect=HOST:PORT there, or the other way round, with tcp: before the address if it is TCP; "
        "may be given several times",
    )
    parser.add_argument(
        "--once", action="store_true", help="one attempt: end when it fails or the path is lost"
    )
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        type=checked(lambda text: parse_duration(text, least=0.1, most=DAY)),
        help="end with status 4 if no path stands after so long, for scripts (default: wait on)",
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
        "--local-port",
        metavar="PORT",
        type=checked(
            lambda text: parse_settings(ClientSettings, [f"local-port={text}"]).local_port
        ),
        help="take the eight UDP ports from this one on in turn, for a firewall that lets these "
        "through (default: 0, any)",
    )
    parser.add_argument(
        "--mtu",
        metavar="OCTETS",
        type=checked(lambda text: parse_settings(ClientSettings, [f"mtu={text}"]).mtu),
        help="send no longer IP packets than this to the other side, headers included, and look "
        "for no other size (default: 0, find the longest that pass)",
    )


_SETTINGS = (
    ("idle", "flow-idle"),
    ("consent", "consent"),
    ("mtu", "mtu"),
    ("local_port", "local-port"),
)
"""Options that say the same as a setting."""


def random_id(kind: str) -> str:
    """An id that nobody else has, beginning with `kind`."""
    return f"{kind}-{random.SystemRandom().randbytes(4).hex()}"


def check_can_begin(request: ClientOptions) -> None:
    """Refuse a client that would forward nothing, or be its own peer. Raises `UsageError`."""
    if request.listen is None and request.connect is None and not request.services:
        raise UsageError("nothing to forward: give --listen PORT, --connect HOST:PORT or both")
    if request.id is not None and request.id == request.remote:
        raise UsageError(f"--id and -r are both {request.id!r}: the two hosts need different ids")


def client_options_of(options: argparse.Namespace) -> ClientOptions:
    """The client's request, checked. Raises `UsageError`."""
    settings = parse_settings(ClientSettings, options.set)
    for option, name in _SETTINGS:
        twice = any(word.startswith(f"{name}=") for word in options.set)
        if twice and getattr(options, option) is not None:
            flag = option.replace("_", "-")
            raise UsageError(f"--{flag} and --set {name} say the same: give one of them")
    if options.idle is not None:
        settings = replace(settings, flow_idle=options.idle)
    if options.consent is not None:
        settings = settings.with_consent(float(options.consent))
    if options.local_port is not None:
        settings = replace(settings, local_port=options.local_port)
    if options.mtu is not None:
        settings = replace(settings, mtu=options.mtu)
    unnamed = {"listen": options.listen, "connect": options.connect}
    services = [each for each in unnamed.values() if isinstance(each, NamedEnd)]
    udp = {side: at for side, at in unnamed.items() if isinstance(at, HostPort)}
    services += options.service
    key_options = keys.key_options(options)
    check_tcp(services, plaintext=key_options.plaintext)
    relaying = relay.relaying_of(options)
    return ClientOptions(
        server=options.server,
        id=options.id,
        remote=options.remote,
        listen=udp.get("listen"),
        connect=udp.get("connect"),
        once=options.once,
        wait=options.wait,
        settings=settings,
        services=check_services(services, udp.get("listen")),
        keys=key_options,
        token_file=access.token_file(options),
        tls=tls.client_tls(options),
        relaying=relaying,
        turn=options.turn,
        turn_credentials=options.turn_credentials,
        turn_ca=options.turn_ca,
        takes_turn=turn.takes_turn(options, relaying),
        may_join=options.methods is None or MethodName.RELAY_TCP in options.methods,
        methods=relay.further_methods(options),
        methods_are_named=options.methods is not None,
    )
