"""The options of the command `server`: how they are read, and what they ask for."""

from __future__ import annotations

import argparse
from typing import TypeVar

from nat_traversal.arguments.parser import checked
from nat_traversal.arguments.ranges import parse as parse_settings
from nat_traversal.cli import access, config_file, log_options, relay, tls
from nat_traversal.cli.common_arguments import add_common, add_set, number
from nat_traversal.cli.options import ServerOptions
from nat_traversal.errors import UsageError
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import DEFAULT_PORT
from nat_traversal.wire.addresses import is_link_local
from nat_traversal.wire.endpoint import Endpoint, HostPort, parse_host_port, useless

P = TypeVar("P", bound=argparse.ArgumentParser)
FIRST_ALTERNATE_PORT = 1024
"""Anybody can make answers come from the alternate port. No service that others trust may be known by it."""


def server_options(parser: P) -> P:
    """Add the options of the server."""
    parser.description = "Introduces two hosts behind NATs to each other. Needs a public address."
    parser.add_argument(
        "--host",
        type=checked(_address),
        action="append",
        default=["0.0.0.0"],  # noqa: S104
        metavar="ADDRESS",
        help="IP address to listen on; may be given several times (default: every IPv4 address; "
        "::, every IPv6 address)",
    )
    parser.add_argument(
        "--port",
        type=checked(lambda text: number(text, 0, 65_535)),
        default=DEFAULT_PORT,
        help="TCP and UDP port (default: %(default)s; 0: any free one)",
    )
    parser.add_argument(
        "--alternate",
        metavar="ADDRESS:PORT",
        type=checked(_alternate),
        help="answer STUN (RFC 5780) from another address of this host and another port as well, so that "
        "clients can tell their NAT's mapping and filtering; takes --host",
    )
    parser.add_argument(
        "--max-connections",
        type=checked(lambda text: number(text, 2, 1_000_000)),
        metavar="N",
        help=f"connections at a time (default: {ServerSettings().connections})",
    )
    relay.add_server_options(parser)
    tls.add_server_options(parser)
    access.add_server_options(parser)
    parser.add_argument(
        "--store",
        metavar="URL",
        help="share a Redis or Valkey with other servers, as redis://HOST[:PORT]: clients of all of them "
        "find each other",
    )
    parser.add_argument(
        "--relay-address",
        metavar="ADDRESS[:PORT]",
        type=checked(_relay_address),
        help="with --store: where clients of the other servers reach this one, for its relay (default: where its own "
        "clients do; needed where a cloud gives this host a private address)",
    )
    parser.add_argument(
        "--metrics",
        metavar="[ADDRESS:]PORT",
        type=checked(lambda text: parse_host_port(text, default_host="127.0.0.1")),
        help="show metrics for Prometheus, and a health page, over HTTP there (127.0.0.1 by default)",
    )
    add_set(parser, "heartbeat=10s")
    log_options.add_options(parser)
    config_file.add_option(parser, ServerSettings)
    add_common(parser)
    parser.set_defaults(command="server")
    return parser


def server_options_of(options: argparse.Namespace) -> ServerOptions:
    """The server's request, checked. Raises `UsageError`."""
    words = [*options.set, *relay.server_words(options)]
    if options.max_connections is not None:
        words.append(f"connections={options.max_connections}")
    return ServerOptions(
        _apart(options.host),
        options.port,
        parse_settings(ServerSettings, words),
        tls.server_tls(options),
        options.metrics,
        options.store,
        options.allow,
        options.tokens,
        options.alternate,
        _beside_store(options),
    )


def _beside_store(options: argparse.Namespace) -> Endpoint | None:
    place: HostPort | None = options.relay_address
    if place is None:
        return None
    if options.store is None:
        raise UsageError("--relay-address is for servers that share a store: give --store as well")
    return Endpoint(place.host, place.port or options.port)


def _apart(hosts: list[str]) -> tuple[str, ...]:
    for host in hosts:
        if hosts.count(host) > 1:
            raise UsageError(f"--host {host} is given twice: give each address once")
        alike = [each for each in hosts if (":" in each) == (":" in host) and each != host]
        if host in ("0.0.0.0", "::") and alike:  # noqa: S104
            raise UsageError(f"--host {host} is every such address: leave {alike[0]} out")
    return tuple(hosts)


def _alternate(text: str) -> Endpoint:
    given = parse_host_port(text)
    endpoint = Endpoint(_address(given.host), given.port)
    if endpoint.address in ("0.0.0.0", "::"):  # noqa: S104
        raise UsageError(f"{text!r} is every address: give one of this host's")
    if endpoint.port < FIRST_ALTERNATE_PORT:
        raise UsageError(
            f"{text!r}: others may trust what comes from port {endpoint.port}: "
            f"give one from {FIRST_ALTERNATE_PORT}"
        )
    return endpoint


def _relay_address(text: str) -> HostPort:
    given = parse_host_port(text, default_port=0)
    address = _address(given.host)
    if address in ("0.0.0.0", "::"):  # noqa: S104
        raise UsageError(f"{text!r} is every address: give the one that clients reach")
    return HostPort(address, given.port)


def _address(text: str) -> str:
    address = Endpoint(text, 0).address
    problem = useless(address)
    if is_link_local(address):
        problem = "link-local: hosts meet only at addresses that are routed"
    if problem:
        raise UsageError(f"{address} is {problem}")
    return address
