"""UDP between two hosts behind NATs: `connect` on each of them, `serve` on a public server."""

from nat_traversal.aio.connection import Connection, connect
from nat_traversal.aio.server import Server, serve
from nat_traversal.endpoint import Endpoint
from nat_traversal.errors import (
    ConnectionLostError,
    LocalProtocolError,
    NatTraversalError,
    RegistrationRefusedError,
    ServerUnreachableError,
    TraversalFailedError,
    UsageError,
    WireError,
)
from nat_traversal.rendezvous import ServerLimits

__version__ = "0.1.0"

__all__ = [
    "Connection",
    "ConnectionLostError",
    "Endpoint",
    "LocalProtocolError",
    "NatTraversalError",
    "RegistrationRefusedError",
    "Server",
    "ServerLimits",
    "ServerUnreachableError",
    "TraversalFailedError",
    "UsageError",
    "WireError",
    "__version__",
    "connect",
    "serve",
]
