"""The notices of the server's machine. They carry no secret."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HostRegistered:
    """Server: a host has come."""

    id: str
    peer: str
    source: str = field(default="", compare=False)
    """The IPv4 address, or prefix of IPv6, that it comes from; empty: not known."""


@dataclass(frozen=True, slots=True)
class HostLeft:
    """Server: a registered host has gone."""

    id: str
    source: str = field(default="", compare=False)
    """Where it came from."""


@dataclass(frozen=True, slots=True)
class HostRefused:
    """Server: a connection was ended with an error. `id` is None before a registration."""

    id: str | None
    code: str
    text: str
    source: str = field(default="", compare=False)
    """Where it came from."""


@dataclass(frozen=True, slots=True)
class StoreReached:
    """Server: the store that it shares with others answers."""


@dataclass(frozen=True, slots=True)
class StoreLost:
    """Server: that store does not answer, so that nobody is admitted."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Server: this process has no room for one more connection. `text` says why, and what to do."""

    text: str


@dataclass(frozen=True, slots=True)
class ClientsHidden:
    """Server: every client so far comes from one address, which is not its own."""

    source: str
    """That address."""
    via: str
    """The server's address that the last one has reached."""


@dataclass(frozen=True, slots=True)
class PairConnected:
    """Server: both hosts have reported that the path stands."""

    first: str
    second: str
    attempt: int
    round: int
    source: str = field(default="", compare=False)
    """Where the first one comes from."""


@dataclass(frozen=True, slots=True)
class PairFailed:
    """Server: an attempt has ended without a path."""

    first: str
    second: str
    attempt: int
    """0: the two do not fit, so none has begun."""
    code: str
    text: str
    source: str = field(default="", compare=False)
    """Where the first one comes from."""
