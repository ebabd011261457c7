"""UDP between two hosts behind NATs: `connect` on each of them, `serve` on a public server."""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from nat_traversal.access import Access
    from nat_traversal.aio.checking import check_nat
    from nat_traversal.aio.connection import Connection, connect
    from nat_traversal.aio.server import Server, serve
    from nat_traversal.check.verdict import Verdict
    from nat_traversal.client.path_status import PathStatus
    from nat_traversal.client.security import Security
    from nat_traversal.errors import (
        ConnectionLostError,
        LocalAddressError,
        LocalProtocolError,
        NameUnresolvedError,
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
    from nat_traversal.wire.endpoint import Endpoint, HostPort
    from nat_traversal.wire.turn import TurnServer, parse_turn

__version__ = "0.1.0"

__all__ = [
    "Access",
    "ClientSettings",
    "ClientTlsSettings",
    "Connection",
    "ConnectionLostError",
    "Endpoint",
    "HostPort",
    "LocalAddressError",
    "LocalProtocolError",
    "NameUnresolvedError",
    "NatTraversalError",
    "PathStatus",
    "RegistrationRefusedError",
    "Security",
    "Server",
    "ServerSettings",
    "ServerTlsSettings",
    "ServerUnreachableError",
    "TlsError",
    "TraversalFailedError",
    "TurnServer",
    "UsageError",
    "Verdict",
    "WireError",
    "__version__",
    "check_nat",
    "connect",
    "parse_turn",
    "serve",
]
_WHERE = {
    "Access": "access",
    "Connection": "aio.connection",
    "connect": "aio.connection",
    "Server": "aio.server",
    "serve": "aio.server",
    "PathStatus": "client.path_status",
    "check_nat": "aio.checking",
    "Verdict": "check.verdict",
    "ClientSettings": "settings",
    "ServerSettings": "settings",
    "ClientTlsSettings": "tls",
    "ServerTlsSettings": "tls",
    "Endpoint": "wire.endpoint",
    "HostPort": "wire.endpoint",
    "Security": "client.security",
    "TurnServer": "wire.turn",
    "parse_turn": "wire.turn",
}


def __getattr__(name: str) -> object:
    """Imports a part when it is first asked for (PEP 562): a server needs no client, and a command
    answers Ctrl-C before it imports anything of size."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_WHERE.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
