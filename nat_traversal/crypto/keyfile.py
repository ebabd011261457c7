"""Keys as text: shared keys, identities, known peers; what a file of each must look like. Pure.

A prefix tells the kinds apart, so that no public key is taken for a secret, and no typed word for
a key: a guessable one would fall to somebody who tries words.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType

from nat_traversal.errors import UsageError
from nat_traversal.wire.ids import check_id

SHARED = "nt-shared-1:"
IDENTITY = "nt-identity-1:"
PUBLIC = "nt-public-1:"
SERVER_TOKEN = "nt-token-1:"  # noqa: S105 - the form of one
"""Before 32 octets in base64 (RFC 4648 section 4)."""
_MADE_BY = {
    SHARED: "nat-traversal genkey",
    IDENTITY: "nat-traversal identity",
    PUBLIC: "nat-traversal identity, which prints it",
    SERVER_TOKEN: "nat-traversal gentoken",
}
_MODE_FOR_OTHERS = 0o077


def as_text(kind: str, key: bytes) -> str:
    """`key`, 32 octets, as one line of that kind."""
    return kind + base64.b64encode(key).decode()


def parse_key(kind: str, text: str, where: str) -> bytes:
    """The 32 octets of a key of that kind. `where` names its place for the error.

    Raises `UsageError`, whose text never repeats what stands there: it may be a secret.
    """
    line = text.strip()
    try:
        key = base64.b64decode(line.removeprefix(kind), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not line.startswith(kind) or len(key) != 32:
        other = next((made for made in _MADE_BY if made != kind and line.startswith(made)), None)
        found = "another kind of key stands there" if other else "no such key stands there"
        raise UsageError(
            f"{where}: {found}: it must be one line that begins with {kind!r}, "
            f"made by: {_MADE_BY[kind]}"
        )
    return key


def check_mode(mode: int, where: str) -> None:
    """Refuse a secret's file that others than its owner can read. `mode` is as of `os.stat`."""
    if mode & _MODE_FOR_OTHERS:
        raise UsageError(f"{where} can be read by others: chmod 600 {where}")


def parse_known_peers(text: str, where: str) -> Mapping[str, bytes]:
    """Public keys by id, from a file with ``id key`` a line; ``#`` begins a comment.

    Raises `UsageError` with the line's number.
    """
    found: dict[str, bytes] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].split()
        if not line:
            continue
        place = f"{where}, line {number}"
        if len(line) != 2:
            raise UsageError(f"{place}: write an id, a space, and its public key")
        try:
            host_id = check_id(line[0])
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        if host_id in found:
            raise UsageError(f"{place}: {host_id} stands there twice: keep one")
        found[host_id] = parse_key(PUBLIC, line[1], place)
    return MappingProxyType(found)
