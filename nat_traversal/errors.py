"""Every error that this package raises on purpose, as one tree.

    NatTraversalError
    ├── UsageError                  an argument is wrong; the text says what would be right
    │   ├── ConfigError             a configuration file has mistakes, told one by one
    │   ├── InstanceRunsError       another process runs with the same name
    │   └── LocalAddressError       an address or port of this host cannot be had now; time may cure it
    ├── NameUnresolvedError         a name has no address now; time may cure it
    ├── WireError                   a received line or datagram is malformed
    ├── TlsError                    the control connection's TLS failed: its handshake, or a certificate
    ├── KeyRefusedError             a key cannot be used, or the other side lacks the one that it needs
    ├── LocalProtocolError          our own code asked for what the state does not allow
    ├── ServerUnreachableError      no usable control connection to the rendezvous server
    ├── RegistrationRefusedError    the server answered, and said no
    ├── TraversalFailedError        both rounds of HELLOs ended without a path
    └── ConnectionLostError         a path that stood has ended

The text of each is one line meant for the person who has to act on it.
"""

from __future__ import annotations

from collections.abc import Sequence


class NatTraversalError(Exception):
    """Base of every documented error."""


class UsageError(NatTraversalError, ValueError):
    """An argument cannot be used. The text names it and gives a form that works."""


class ConfigError(UsageError):
    """A configuration file has mistakes. Its text is the first; `mistakes` has them all, a line each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__(mistakes[0])
        self.mistakes = tuple(mistakes)


class InstanceRunsError(UsageError):
    """Another process of this user serves the local socket of this name. `claim`: what it says it is, on one line."""

    def __init__(self, text: str, claim: str) -> None:
        super().__init__(text)
        self.claim = claim


class LocalAddressError(UsageError):
    """This host does not have the address to listen on (yet), or another program holds the port.

    `in_use`: it is the port.
    """

    def __init__(self, text: str, *, in_use: bool) -> None:
        super().__init__(text)
        self.in_use = in_use


class NameUnresolvedError(NatTraversalError):
    """No address was found for a name.

    `is_temporary`: no name server answered, or it could not say. Else there is no such name, or it has
    no address of the family that is needed. Names come and go, so this too may change.
    """

    def __init__(self, text: str, *, is_temporary: bool) -> None:
        super().__init__(text)
        self.is_temporary = is_temporary


class WireError(NatTraversalError):
    """A received line or datagram breaks `docs/protocol.md`.

    Received data is never trusted, so adapters count this error and drop the input; it does
    not reach the user of the package.
    """


class TlsError(NatTraversalError):
    """TLS to the other end of the control connection failed.

    Adapters turn it into the reason why a connection broke. So a user of the package meets its text
    in a `ServerUnreachableError`. `remedy`: the change that would mend it, a clause; empty: the text says it.
    """

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy


class KeyRefusedError(NatTraversalError):
    """A key is unusable or not the one expected. Nothing was sent to or taken from a program."""


class LocalProtocolError(NatTraversalError):
    """The caller did something that the current state does not allow: a bug on this side."""


class ServerUnreachableError(NatTraversalError):
    """The control connection could not be made, or broke before the registration was answered."""


class RegistrationRefusedError(NatTraversalError):
    """The server refused the registration.

    `code` is one of the error codes of `docs/protocol.md`, for example ``id-in-use``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class TraversalFailedError(NatTraversalError):
    """No path opened in either role. `code` is the machine-readable reason, the text the plain one."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ConnectionLostError(NatTraversalError):
    """The path to the peer stood and has ended: consent expired, the peer left, or it was closed."""
