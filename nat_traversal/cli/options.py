"""What each command was asked for, as one value: the parser makes it, the command carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The command `server`: the IP address and port to listen on (0: any free one), and its settings."""

    host: str
    port: int
    settings: ServerSettings
