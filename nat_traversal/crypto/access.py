"""How a client shows a server's token without sending it: a MAC over its registration. Pure.

The token itself never crosses. The MAC is worth nothing for another id, another peer or another connection, whose
key is fresh each time.
"""

from __future__ import annotations

import hashlib
import hmac

from nat_traversal.wire import TOKEN_NAME_BYTES
from nat_traversal.wire.messages import Register

_NAME = b"nat-traversal server token: name"
_SHOWN = b"nat-traversal server token: shown"


def name_of(token: bytes) -> bytes:
    """8 octets by which a server finds `token`, 32 octets, among many. They tell nothing of it."""
    return hashlib.sha256(_NAME + token).digest()[:TOKEN_NAME_BYTES]


def shown(token: bytes, register: Register) -> bytes:
    """The field `access` of `register`: the token's name, then the MAC."""
    values = (register.key, register.owner, register.id.encode(), register.peer.encode())
    bound = b"".join(len(value).to_bytes(2, "big") + value for value in values)
    return name_of(token) + hmac.digest(token, _SHOWN + bound, "sha256")


def is_shown(token: bytes, register: Register) -> bool:
    """Whether `register` shows that token; takes the same time whatever it shows."""
    return hmac.compare_digest(shown(token, register), register.access)
