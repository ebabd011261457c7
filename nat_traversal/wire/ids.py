"""How users name a host and the server: no more than that has to be imported to read arguments."""

from __future__ import annotations

import re

from nat_traversal.errors import UsageError
from nat_traversal.wire import DEFAULT_PORT
from nat_traversal.wire.addresses import is_link_local
from nat_traversal.wire.endpoint import HostPort, parse_host_port

MAX_ID = 64
"""Characters in a host id."""
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_ID - 1}}}")


def is_id(text: str) -> bool:
    """Whether `text` can be a host id."""
    return bool(_ID.fullmatch(text))


def check_id(text: str) -> str:
    """Return `text` if it can be a host id, else raise `UsageError` with the rule."""
    if not is_id(text):
        raise UsageError(
            f"{text!r} cannot be an id: 1 to {MAX_ID} letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    return text


def parse_server(text: str) -> HostPort:
    """A server as users write it: ``host`` or ``host:port``. Raises `UsageError`."""
    server = parse_host_port(text, default_port=DEFAULT_PORT)
    if is_link_local(server.host):
        raise UsageError(f"{text!r} is link-local: hosts meet only at addresses that are routed")
    return server
