"""The options of `invite` and `accept`: how they are read, and what they ask for."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from typing import TypeVar

from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.arguments.parser import checked
from nat_traversal.cli import access, relay, tls, turn
from nat_traversal.cli.client_arguments import (
    add_ids,
    add_server,
    add_services,
    check_can_begin,
    client_options_of,
)
from nat_traversal.cli.common_arguments import add_common, add_set
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.peers.places import USUAL
from nat_traversal.cli.qr import SEGNO, check_qr
from nat_traversal.errors import UsageError
from nat_traversal.pairing.invitation import MOST_CHARACTERS, Invitation, parse

P = TypeVar("P", bound=argparse.ArgumentParser)
WAIT = 3600.0
"""Seconds for which an invitation holds, unless told otherwise."""
_NO_KEYS = {"key_file": None, "peer_key": None, "known_peers": None, "plaintext": False, "key_log": None}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PairingOptions:
    """The client to run once paired, the file of this host's identity (None: the usual one), and the invitation.

    At the side that invites `invitation` is None, and `valid` says for how many seconds it will hold.
    """

    then: ClientOptions
    identity: str | None
    valid: float = WAIT
    invitation: Invitation | None = None
    qr: bool = False
    """Draw the line as a QR code too."""
    save: str | None = None
    """The configuration file that the other host is added to; empty: the usual one."""


def invite_options(parser: P) -> P:
    """Add the options of `invite`."""
    parser.description = (
        "Prints one line to copy to the other host, waits until `nat-traversal accept` has read it there, "
        "and connects. The line works once."
    )
    add_server(parser)
    add_ids(parser, random_peer=True)
    parser.add_argument(
        "--valid",
        metavar="DURATION",
        default=WAIT,
        type=checked(lambda text: parse_duration(text, least=10.0, most=DAY)),
        help=f"how long the invitation holds (default: {WAIT:g}s)",
    )
    tls.add_client_options(parser)
    parser.add_argument(
        "--qr",
        action="store_true",
        help=f"draw the line as a QR code in the terminal too; needs the package {SEGNO}",
    )
    return _common(parser, "invite")


def accept_options(parser: P) -> P:
    """Add the options of `accept`."""
    parser.description = (
        "Reads the line of `nat-traversal invite` from a prompt or stdin, and connects to the host that "
        "printed it. Give --listen or --connect, whichever that host did not."
    )
    parser.add_argument("line", nargs="?", help=argparse.SUPPRESS)
    parser.set_defaults(server=None, id=None, remote=None)
    parser.set_defaults(tls=False, ca=None, server_fingerprint=None)
    return _common(parser, "accept")


def _common(parser: P, command: str) -> P:
    add_services(parser)
    parser.add_argument(
        "--identity",
        metavar="FILE",
        help="this host's private key; made if it is not there (default: as nat-traversal identity has it)",
    )
    parser.add_argument(
        "--save",
        metavar="FILE|NAME",
        nargs="?",
        const=USUAL,
        help="add the other host to this configuration file of nat-traversal client (default: client.toml "
        "in ~/.config/nat-traversal; root's in /etc/nat-traversal)",
    )
    relay.add_client_options(parser)
    turn.add_client_options(parser)
    access.add_client_options(parser)
    add_set(parser, "announce-first=200ms")
    add_common(parser)
    parser.set_defaults(command=command, **_NO_KEYS)
    return parser


def pairing_options_of(options: argparse.Namespace) -> PairingOptions:
    """The request of either command, checked; that of `accept` reads the line. Raises `UsageError`."""
    identity, options.identity = options.identity, None
    then = client_options_of(options)
    check_can_begin(then)
    if options.command == "invite":
        if then.tls is not None and then.tls.ca is not None:
            raise UsageError(
                "--ca names a file that the other host lacks: give --server-fingerprint"
            )
        if options.qr:
            check_qr(as_json=options.json)
        return PairingOptions(
            then, identity, float(options.valid), qr=options.qr, save=options.save
        )
    if options.line is not None:
        raise UsageError(
            "an invitation holds a secret, and every user of this host can read a command line: "
            "ask for a new one, and paste it when accept asks for it"
        )
    invitation = parse(_line(), time.time())
    then = replace(
        then,
        server=invitation.server,
        id=invitation.guest,
        remote=invitation.inviter,
        tls=invitation.tls,
    )
    return PairingOptions(then, identity, invitation=invitation, save=options.save)


def _line() -> str:
    """The line that somebody pastes, or that stdin has."""
    if sys.stdin is None:
        raise UsageError("there is no stdin to read the invitation from")
    if sys.stdin.isatty() and sys.stderr is not None:
        sys.stderr.write("paste the invitation: ")
        sys.stderr.flush()
    try:
        return sys.stdin.readline(MOST_CHARACTERS + 2)
    except (OSError, ValueError) as error:
        raise UsageError(f"the invitation could not be read from stdin: {error}") from None
