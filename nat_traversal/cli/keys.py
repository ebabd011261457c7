"""The options that name keys, and the keys themselves, read from files and the environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from nat_traversal.arguments.parser import checked
from nat_traversal.arguments.user_file import descriptor_of
from nat_traversal.crypto.keyfile import (
    IDENTITY,
    PUBLIC,
    SHARED,
    check_mode,
    parse_key,
    parse_known_peers,
)
from nat_traversal.errors import UsageError

VARIABLE = "NAT_TRAVERSAL_KEY"
"""The environment variable that may hold the shared key instead of a file."""
_MOST = 1 << 22
"""Characters in a file, as of some 60,000 tokens. The rest of a longer one would be missed in silence."""


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """The keys that a client's options ask for. They go together."""

    key_file: str | None = None
    identity: str | None = None
    peer_key: bytes | None = None
    known_peers: str | None = None
    plaintext: bool = False
    key_log: str | None = None


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one client, 32 octets each. No private one shows in a repr."""

    shared: bytes | None = field(default=None, repr=False)
    identity: bytes | None = field(default=None, repr=False)
    """The private half."""
    known: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """Peers' public keys by id: at least the one of the peer that is wanted, if there is an identity."""
    plaintext: bool = False


def add_options(parser: argparse.ArgumentParser) -> None:
    keys = parser.add_argument_group(
        "keys", "Without one, the path is sealed, and the server vouches for the other host."
    )
    keys.add_argument(
        "--key-file",
        metavar="FILE",
        help="a key that both hosts share, made by: nat-traversal genkey "
        f"(or the key itself in ${VARIABLE})",
    )
    keys.add_argument(
        "--identity",
        metavar="FILE",
        help="this host's private key, made by: nat-traversal identity FILE",
    )
    keys.add_argument(
        "--peer-key",
        metavar="PUBLIC",
        type=checked(lambda text: parse_key(PUBLIC, text, "--peer-key")),
        help="the other host's public key, as nat-traversal identity printed it there",
    )
    keys.add_argument(
        "--known-peers", metavar="FILE", help="the same for many: an id and its public key a line"
    )
    keys.add_argument(
        "--plaintext",
        action="store_true",
        help="no encryption, for study; the other side must ask for it as well",
    )
    keys.add_argument(
        "--key-log",
        metavar="FILE",
        help="for study: add the keys of each path to FILE, with which a capture can be read, as SSLKEYLOGFILE does",
    )


def key_options(options: argparse.Namespace) -> KeyOptions:
    """Raises `UsageError` for options that do not go together."""
    keys = KeyOptions(
        options.key_file,
        options.identity,
        options.peer_key,
        options.known_peers,
        options.plaintext,
        options.key_log,
    )
    for option, file in (("--key-file", keys.key_file), ("--identity", keys.identity)):
        if file is not None and file.startswith((SHARED, IDENTITY)):
            raise UsageError(
                f"{option} takes the name of a file, not a key: "
                "every user of this host can see what stands on a command line"
            )
    named = {
        "--key-file": keys.key_file,
        "--identity": keys.identity,
        "--peer-key": keys.peer_key,
        "--known-peers": keys.known_peers,
    }
    given = [name for name, value in named.items() if value is not None]
    if keys.plaintext and given:
        raise UsageError(f"--plaintext uses no key: leave out either it or {given[0]}")
    if keys.peer_key is not None and keys.known_peers is not None:
        raise UsageError("--peer-key and --known-peers both name the other host's key: give one")
    known = keys.peer_key is not None or keys.known_peers is not None
    if keys.identity is not None and not known:
        raise UsageError("--identity needs the other host's key: give --peer-key or --known-peers")
    if keys.identity is None and known:
        raise UsageError(
            f"{given[-1]} needs this host's own key: give --identity FILE, "
            "made by: nat-traversal identity FILE"
        )
    return keys


def read_keys(options: KeyOptions, peer: str, environment: Mapping[str, str]) -> Keyring:
    """The keys that `options` and `environment` name, for the peer with that id. Raises `UsageError`."""
    shared = None
    if options.key_file is not None:
        shared = read_secret(SHARED, options.key_file, environment)
    if (text := environment.get(VARIABLE)) is not None:
        if shared is not None:
            raise UsageError(f"--key-file and ${VARIABLE} are both given: leave one of them out")
        if options.plaintext:
            raise UsageError(f"--plaintext uses no key: leave out either it or ${VARIABLE}")
        shared = parse_key(SHARED, text, f"${VARIABLE}")
    identity = None
    known: Mapping[str, bytes] = MappingProxyType({})
    if options.identity is not None:
        identity = read_secret(IDENTITY, options.identity, environment)
        known = _known(options, peer)
    return Keyring(shared, identity, known, options.plaintext)


def read_secret(kind: str, name: str, environment: Mapping[str, str]) -> bytes:
    """The key of that kind in the file `name`: 32 octets.

    Raises `UsageError`, also for a file that others can read. One in systemd's folder of credentials is
    as systemd made it: it is for one service, whatever its mode says.
    """
    return parse_key(kind, read_text(name, secret_in=environment), name)


def read_text(name: str, *, secret_in: Mapping[str, str] | None = None) -> str:
    """The text of the file `name`, without a mark that says UTF-8 at its begin. `secret_in`: the environment, if it is a secret. Raises `UsageError`."""
    try:
        with os.fdopen(descriptor_of(name), encoding="utf-8-sig", errors="replace") as file:
            folder = None if secret_in is None else secret_in.get("CREDENTIALS_DIRECTORY")
            is_credential = folder is not None and Path(name).parent == Path(folder)
            if secret_in is not None and not is_credential:
                check_mode(os.fstat(file.fileno()).st_mode, name)
            text = file.read(_MOST + 1)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    if len(text) > _MOST:
        raise UsageError(f"{name}: it has more than {_MOST} characters: is it the right file?")
    return text


def _known(options: KeyOptions, peer: str) -> Mapping[str, bytes]:
    if options.peer_key is not None:
        return MappingProxyType({peer: options.peer_key})
    name = options.known_peers
    assert name is not None, "key_options has seen to it"
    known = parse_known_peers(read_text(name), name)
    if peer not in known:
        raise UsageError(
            f"{name} has no key of {peer}: add a line with {peer}, a space, and its key"
        )
    return known
