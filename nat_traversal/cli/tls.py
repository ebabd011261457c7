"""The TLS options of both commands, and what they ask for."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings, parse_fingerprint


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """A certificate that the server makes itself and keeps in `directory`. None: the usual place."""

    directory: str | None


def add_server_options(parser: argparse.ArgumentParser) -> None:
    tls = parser.add_argument_group("TLS")
    tls.add_argument(
        "--tls",
        action="store_true",
        help="take clients over TLS only; without --tls-cert, with a certificate that this command "
        "makes at its first start, and whose fingerprint it prints",
    )
    tls.add_argument(
        "--tls-cert", metavar="FILE", help="the server's certificate chain, in PEM form"
    )
    tls.add_argument("--tls-key", metavar="FILE", help="its private key, in PEM form")
    tls.add_argument(
        "--state",
        metavar="DIR",
        help="where the certificate that it makes is kept "
        "(default: $STATE_DIRECTORY, else ~/.local/state/nat-traversal)",
    )


def server_tls(options: argparse.Namespace) -> ServerTlsSettings | SelfSigned | None:
    """The TLS that these options ask for, or None. Raises `UsageError` for some that do not go together."""
    certificate, key = options.tls_cert, options.tls_key
    if (certificate is None) != (key is None):
        given, missing = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
        raise UsageError(f"{given} needs {missing} FILE as well")
    if certificate is not None:
        if options.state is not None:
            raise UsageError(
                "--state is for a certificate that the server makes: leave --tls-cert out"
            )
        return ServerTlsSettings(certificate, key)
    if options.state is not None and not options.tls:
        raise UsageError("--state is for the certificate of --tls: give --tls as well")
    return SelfSigned(options.state) if options.tls else None


def add_client_options(parser: argparse.ArgumentParser) -> None:
    tls = parser.add_argument_group("TLS to the server; each of these turns it on")
    tls.add_argument(
        "--tls",
        action="store_true",
        help="the server's certificate must be for its name, and signed by a CA of this system",
    )
    tls.add_argument(
        "--ca", metavar="FILE", help="the same with the CA certificates in FILE (PEM) instead"
    )
    tls.add_argument(
        "--server-fingerprint",
        metavar="SHA256",
        type=checked(_fingerprint),
        help="the server's certificate must be this one: its fingerprint as the server printed it",
    )


def client_tls(options: argparse.Namespace) -> ClientTlsSettings | None:
    """The TLS that these options ask for, or None. Raises `UsageError` for some that do not go together."""
    if options.ca is not None and options.server_fingerprint is not None:
        raise UsageError("--ca and --server-fingerprint are two ways to know the server: give one")
    if options.tls or options.ca is not None or options.server_fingerprint is not None:
        return ClientTlsSettings(options.ca, options.server_fingerprint)
    return None


def _fingerprint(text: str) -> str:
    parse_fingerprint(text)
    return text
