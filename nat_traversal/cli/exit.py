"""The exit statuses of the commands."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses."""

    OK = 0
    """Stopped because it was asked to (Ctrl-C, SIGTERM, SIGHUP)."""
    USAGE = 2
    SERVER_UNREACHABLE = 3
    TRAVERSAL_FAILED = 4
    REFUSED = 5
    CONNECTION_LOST = 6
    NOT_YET = 7
    """With ``--once``: this host lacks the address to listen on, or the service's name has none. It is not
    `USAGE`: time may cure it, so a service manager should start the command again."""
    INTERRUPTED = 130
    """A command that only asks was ended by Ctrl-C before it had its answer, as shells show it."""
    OUTPUT_CLOSED = 141
    """The reader of the events has gone. Shells show this status for what SIGPIPE has ended."""
