"""The state of the path to a peer, as one value at any time: which path, since when, how good, and why no better one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nat_traversal.client.explanation import Explanation
from nat_traversal.machine import notices as note
from nat_traversal.paths.path import Path
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import PeerState
from nat_traversal.wire.methods import RELAYS, MethodName


class PathKind(StrEnum):
    """The way that programs' datagrams take."""

    DIRECT = "direct"
    RELAYED = "relayed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PathStatus:
    """The path to `peer` at one moment. None, or an empty text: it is not known."""

    peer: str
    path: PathKind
    method: str = ""
    """The rung that opened it."""
    remote: Endpoint | None = None
    """Where its datagrams go: to the peer, or to the server's relay."""
    seconds: float | None = None
    """For so long datagrams have taken it."""
    round_trip: float | None = None
    """Seconds there and back, measured last."""
    loss: float | None = None
    """From 0 to 1: this side's newest pings, at most 20, that were not answered."""
    mtu: int | None = None
    """Octets of the longest IP packet that is sent on it."""
    jitter: float | None = None
    """Seconds by which two round trips in a row differ, on average over this side's newest pings, at most 20."""
    reason: str = ""
    """Why the path is relayed, or why there is none; a clause."""
    remedy: str = ""
    """The change that would make it direct, or bring one; a clause."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `json`."""
        return {
            "peer": self.peer,
            "path": str(self.path),
            "method": self.method or None,
            "remote": None if self.remote is None else str(self.remote),
            "seconds": self.seconds,
            "round_trip": self.round_trip,
            "loss": self.loss,
            "mtu": self.mtu,
            "jitter": None if self.jitter is None else round(self.jitter, 6),
            "reason": self.reason or None,
            "remedy": self.remedy or None,
        }


def sentence(status: PathStatus) -> str:
    """`status` in one sentence."""
    if status.path is PathKind.NONE:
        said = f"there is no path to {status.peer}: {status.reason or 'it has ended'}"
        return f"{said}; {status.remedy}" if status.remedy else said
    if status.path is PathKind.DIRECT:
        where = f"directly to {status.remote}, opened by {status.method},"
    elif status.method == MethodName.TURN:
        where = f"through TURN, to {status.remote},"
    else:
        by = " by TCP" if status.method == MethodName.RELAY_TCP else ""
        where = f"through the relay at {status.remote}{by}"
    parts = _round_trip(status), _jitter(status), _loss(status), _mtu(status)
    quality = ", ".join(filter(None, parts))
    said = f"datagrams to {status.peer} have gone {where} for {duration(status.seconds or 0.0)}"
    said += f" ({quality})" if quality else ""
    if status.reason:
        said += f", since {status.reason}"
    return f"{said}: {status.remedy}" if status.remedy else said


class Story:
    """The notices about one peer, as far as they explain the path of now. `own`: this host's id."""

    def __init__(self, peer: str, own: str) -> None:
        self._peer = peer
        self._own = own
        self._presence: PeerState | None = None
        self._is_registered = False
        self._server_lost = self._server_remedy = ""
        self._failure = ""
        """Why the newest attempt found no direct path; empty: none has failed since the last one that stood."""
        self._relay_word = ""
        self._udp_silent = False
        self._explanation: Explanation | None = None

    def explained(self, explanation: Explanation | None) -> None:
        """The facts of both NATs, as far as they are known, say why; None: they say nothing."""
        self._explanation = explanation

    def told(self, notice: note.Notice) -> None:
        """One notice of the client."""
        match notice:
            case note.RegisteredAtServer():
                self._is_registered = True
                self._server_lost = self._server_remedy = ""
            case note.ServerLost(reason, _, remedy):
                self._is_registered = False
                self._server_lost, self._server_remedy = reason, remedy
            case note.PeerSeen(_, state):
                self._presence = state
            case note.AttemptFailed(_, text, _) | note.NotDirect(_, text, _):
                self._failure = text
            case note.RelayTold(_, text) | note.TurnFailed(text):
                self._relay_word = text
            case note.AnnounceUnanswered():
                self._udp_silent = True
            case note.MappingLearned():
                self._udp_silent = False
            case note.PathMoved():
                self._relay_word = ""
            case note.PathEstablished(method=method):
                self._relay_word = ""
                if method not in RELAYS:
                    self._failure, self._udp_silent = "", False
            case _:
                pass

    def status(self, path: Path | None, since: float, now: float) -> PathStatus:
        """The status, where programs' datagrams have taken `path` since the moment `since`."""
        if path is None:
            reason, remedy = self._why_none()
            return PathStatus(self._peer, PathKind.NONE, reason=reason, remedy=remedy)
        is_relayed = path.method in RELAYS
        reason, remedy = self._why_relayed(path.method) if is_relayed else ("", "")
        return PathStatus(
            self._peer,
            PathKind.RELAYED if is_relayed else PathKind.DIRECT,
            path.method,
            path.remote,
            round(now - since, 3),
            path.round_trip,
            path.loss(now),
            path.mtu,
            path.jitter,
            reason,
            remedy,
        )

    def _why_none(self) -> tuple[str, str]:
        if not self._is_registered:
            reason = self._server_lost or "this host has not registered at the server yet"
            return reason, self._server_remedy
        if self._presence is not PeerState.PRESENT:
            left = "has left" if self._presence is PeerState.LEFT else "is not there yet"
            start = f"a client there with --id {self._peer} -r {self._own} would bring one"
            return f"{self._peer} {left}", start
        if self._failure:
            also = f", and no relay: {self._relay_word}" if self._relay_word else ""
            forwarded = "a port forwarding on either side, or UPnP, would bring one"
            return f"{self._failure}{also}", forwarded
        return "it is being opened", ""

    def _why_relayed(self, method: str) -> tuple[str, str]:
        if method == MethodName.RELAY_TCP or self._udp_silent:
            return (
                "nothing comes back from the server over UDP",
                "a firewall that lets UDP pass would make it direct",
            )
        if self._explanation is not None:
            return self._explanation.reason, self._explanation.remedy
        if not self._failure:
            return "no direct path has opened so far", "one is still looked for"
        return (
            self._failure,
            "a port forwarding on either side, or UPnP, would make it direct",
        )


def _round_trip(status: PathStatus) -> str:
    return "" if status.round_trip is None else f"round trip {1000 * status.round_trip:.0f} ms"


def _jitter(status: PathStatus) -> str:
    return "" if status.jitter is None else f"jitter {1000 * status.jitter:.1f} ms"


def _loss(status: PathStatus) -> str:
    if status.loss is None:
        return ""
    return f"{100 * status.loss:.0f} % lost" if status.loss else "nothing lost"


def _mtu(status: PathStatus) -> str:
    return "" if status.mtu is None else f"packets of up to {status.mtu} octets"


def duration(seconds: float) -> str:
    """Seconds up to two minutes, then minutes, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
