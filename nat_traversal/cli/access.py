"""The options that say who may use a server, at both ends: a list of pairs, and tokens."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from nat_traversal.access import Access, parse_allow, parse_tokens
from nat_traversal.cli.keys import read_secret, read_text
from nat_traversal.cli.options import ServerOptions
from nat_traversal.crypto.keyfile import SERVER_TOKEN, parse_key
from nat_traversal.errors import UsageError

VARIABLE = "NAT_TRAVERSAL_SERVER_TOKEN"
"""The environment variable that may hold a client's token instead of a file."""


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add `--allow` and `--tokens`."""
    access = parser.add_argument_group("access", "Without these, anybody may register.")
    access.add_argument(
        "--allow",
        metavar="FILE",
        help="take only pairs that FILE names: on each line an id, then those with whom it may pair",
    )
    access.add_argument(
        "--tokens",
        metavar="FILE",
        help="take only clients that have a token of FILE: on each line one, made by nat-traversal gentoken, "
        "then the ids that may use it, if not all",
    )


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Add `--server-token`."""
    parser.add_argument(
        "--server-token",
        metavar="FILE",
        help=f"the token that the server's operator has given (or the token itself in ${VARIABLE})",
    )


def token_file(options: argparse.Namespace) -> str | None:
    """The file of `--server-token`. Raises `UsageError` where it is the token itself."""
    name: str | None = options.server_token
    if name is not None and name.startswith(SERVER_TOKEN):
        raise UsageError(
            "--server-token takes the name of a file, not a token: "
            "every user of this host can see what stands on a command line"
        )
    return name


def read_token(name: str | None, environment: Mapping[str, str]) -> bytes | None:
    """The client's token, from the file `name` or the environment; None if it has none. Raises `UsageError`."""
    text = environment.get(VARIABLE)
    if name is None:
        return None if text is None else parse_key(SERVER_TOKEN, text, f"${VARIABLE}")
    if text is not None:
        raise UsageError(f"--server-token and ${VARIABLE} are both given: leave one of them out")
    return read_secret(SERVER_TOKEN, name, environment)


def read_access(options: ServerOptions, environment: Mapping[str, str]) -> Access:
    """The files of a server's options. Raises `UsageError`, with the place."""
    pairs = tokens = None
    if options.allow is not None:
        pairs = parse_allow(read_text(options.allow), options.allow)
    if options.tokens is not None:
        text = read_text(options.tokens, secret_in=environment)
        tokens = parse_tokens(text, options.tokens)
    return Access(pairs, tokens)
