"""The options of a client about its own TURN server, and the file of its credentials."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from nat_traversal.arguments.parser import checked
from nat_traversal.arguments.user_file import expanded
from nat_traversal.cli.keys import read_text
from nat_traversal.cli.options import ClientOptions
from nat_traversal.errors import UsageError
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.turn import TurnServer, check_library, parse_turn

_LONGEST_NAME = 508
"""Octets of a username (RFC 8489 section 14.3: fewer than 509)."""

_NO_UTF_8 = "\ufffd"
"""In the place of octets that are none."""


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """`--turn`, `--turn-credentials` and `--turn-ca`."""
    parser.add_argument(
        "--turn",
        type=checked(parse_turn),
        metavar="URI",
        help="this host's own TURN server, turn:HOST[:PORT][?transport=udp|tcp] or turns:HOST[:PORT]: it relays the "
        "sealed datagrams where no direct path stands and the traversal server relays nothing",
    )
    parser.add_argument(
        "--turn-credentials",
        metavar="FILE",
        help="the name for the TURN server on the first line of FILE, and its password on the second",
    )
    parser.add_argument(
        "--turn-ca",
        metavar="FILE",
        help="the certificate of a turns: server must be signed by a CA in FILE (PEM), not by one of this system",
    )


def takes_turn(options: argparse.Namespace, relaying: Relaying) -> bool:
    """Whether a TURN server may relay. Raises `UsageError` for a contradiction."""
    if options.plaintext and options.turn is not None:
        raise UsageError(
            "--plaintext has no TURN, which relays sealed datagrams alone: leave out either it or --turn"
        )
    allowed = options.methods is None or MethodName.TURN in options.methods
    if options.turn is not None and not allowed:
        raise UsageError("--turn needs the method turn, which --methods lacks")
    if options.turn_credentials is not None and options.turn is None:
        raise UsageError("--turn-credentials is for a TURN server: give --turn as well")
    if options.turn_ca is not None and (options.turn is None or not options.turn.tls):
        raise UsageError("--turn-ca is for a TURN server by TLS: write --turn turns:HOST")
    named = options.methods is not None and allowed
    return allowed and (options.turn is not None or named or relaying is not Relaying.NEVER)


def turn_words(options: ClientOptions) -> list[tuple[str, str]]:
    """The options about a TURN server that `options` came of, by their long names; files by their whole paths."""
    words = [] if options.turn is None else [("turn", str(options.turn))]
    files = (("turn-credentials", options.turn_credentials), ("turn-ca", options.turn_ca))
    return words + [(name, str(expanded(file).absolute())) for name, file in files if file]


def read_turn(options: ClientOptions, environment: Mapping[str, str]) -> TurnServer | None:
    """The TURN server of `options`, with its credentials; None: there is none. Raises `UsageError`."""
    uri, name = options.turn, options.turn_credentials
    if uri is None:
        return None
    check_library()
    ca = "" if options.turn_ca is None else _authorities(options.turn_ca)
    if name is None:
        return TurnServer(uri, ca=ca)
    text = read_text(name, secret_in=environment)
    if _NO_UTF_8 in text:
        raise UsageError(f"{name}: this is no UTF-8, which a TURN server takes: save it so")
    lines = text.splitlines()
    username, password = [*lines, "", ""][:2]
    if len(lines) != 2 or not (username and password):
        form = "write the name for the TURN server on one line and the password on the next, and no more"
        raise UsageError(f"{name}: {form}")
    if len(username.encode()) > _LONGEST_NAME:
        raise UsageError(f"{name}: a name has at most {_LONGEST_NAME} octets")
    return TurnServer(uri, username, password, ca)


def _authorities(name: str) -> str:
    """The CA certificates in the file `name`. Raises `UsageError`."""
    from nat_traversal.aio.tls import context_trusting  # noqa: PLC0415 - --help needs no TLS

    text = read_text(name)
    try:
        context_trusting(text or "none")
    except UsageError as error:
        raise UsageError(f"--turn-ca {name}: {error}") from None
    return text
