"""UDP between two hosts behind NATs: `connect` on each of them, `serve` on a public server."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nat_traversal.errors import (
    ConnectionLostError,
    LocalProtocolError,
    NatTraversalError,
    RegistrationRefusedError,
    ServerUnreachableError,
    TlsError,
    TraversalFailedError,
    UsageError,
    WireError,
)
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings
from nat_traversal.wire.endpoint import Endpoint

if TYPE_CHECKING:
    from nat_traversal.aio.connection import Connection, connect
    from nat_traversal.aio.server import Server, serve

__version__ = "0.1.0"

__all__ = [
    "ClientSettings",
    "ClientTlsSettings",
    "Connection",
    "ConnectionLostError",
    "Endpoint",
    "LocalProtocolError",
    "NatTraversalError",
    "RegistrationRefusedError",
    "Server",
    "ServerSettings",
    "ServerTlsSettings",
    "ServerUnreachableError",
    "TlsError",
    "TraversalFailedError",
    "UsageError",
    "WireError",
    "__version__",
    "connect",
    "serve",
]
_WHERE = {
    "Connection": "aio.connection",
    "connect": "aio.connection",
    "Server": "aio.server",
    "serve": "aio.server",
}


def __getattr__(name: str) -> Any:
    """Imports a side of it when it is first asked for (PEP 562): a server needs no client."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
