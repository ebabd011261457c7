"""All that a running client can say of one peer, as plain values: for `status`, SIGUSR1 and programs. Pure."""

from __future__ import annotations

from typing import Any

from nat_traversal.aio.traffic import Traffic, Way
from nat_traversal.cli.console import describe
from nat_traversal.client.path_status import PathKind, PathStatus, sentence
from nat_traversal.client.server_status import ServerState, ServerStatus
from nat_traversal.machine import notices as note
from nat_traversal.wire.messages import PeerState

READY, WAITING, DOWN_HERE = "ready", "waiting", "down-here"
"""States of a service: datagrams cross; there is no path, or the peer has told nothing yet; nothing listens here."""
_STATES: dict[type[Any], str] = {
    note.ServiceAtPeer: "down-there",
    note.ServiceOnlyHere: "only-here",
    note.ServiceSidesAlike: "sides-alike",
    note.SidesAlike: "sides-alike",
    note.ServiceKindsDiffer: "kinds-differ",
}
"""The others, by the notice that tells of them."""


class Heard:
    """The notices about one peer, as far as they tell how its unnamed service and its relay are."""

    def __init__(self) -> None:
        self.relay = ""
        """The server's last word about its relay."""
        self.trouble: note.Notice | None = None
        """Why datagrams of the unnamed service do not cross."""

    def told(self, notice: note.Notice) -> None:
        """One notice of the client."""
        match notice:
            case note.RelayTold(_, text):
                self.relay = text
            case note.PeerSeen(_, state):
                at_peer = isinstance(self.trouble, note.ServiceAtPeer)
                if state is not PeerState.PRESENT or not at_peer:
                    self.trouble = None
            case note.SidesAlike() | note.ServiceAtPeer(up=False, service=""):
                self.trouble = notice
            case note.ServiceAtPeer(up=True, service=""):
                self.trouble = None
            case _:
                pass


def service_state(
    at: str, *, refuses: bool, is_told: bool, trouble: note.Notice | None
) -> dict[str, Any]:
    """Of the service `at` an address. `refuses`: nothing listens there. `is_told`: a path stands, and the peer has told
    its side. `trouble`: why its datagrams do not cross."""
    state, reason, remedy = READY if is_told else WAITING, "", ""
    if trouble is not None:
        state = _STATES[type(trouble)]
        reason, _, remedy = describe(trouble).partition(": ")
    elif refuses:
        state, reason, remedy = DOWN_HERE, f"nothing listens at {at}", "start the program there"
    return {
        "state": state,
        "reason": reason or None,
        "remedy": remedy or None,
        "refuses": refuses,
    }


def server_report(
    name: str, status: ServerStatus | None, *, is_tls: bool, own: str | None
) -> dict[str, Any]:
    """The server `name`, the client's id there, and the connection to it."""
    status = status or ServerStatus(ServerState.CLOSED, None, 0.0)
    return {"name": name, "id": own, "tls": is_tls, **status.as_json()}


def report(
    status: PathStatus,
    server: dict[str, Any],
    traffic: Traffic,
    services: list[dict[str, Any]],
    relay_told: str,
) -> dict[str, Any]:
    """One peer: its path, what crossed it, its services, and the server."""
    direct, relayed = traffic.direct, traffic.relayed
    was_relayed = status.path is PathKind.RELAYED or relayed.sent or relayed.received or relay_told
    relay = {**_crossed(relayed), "told": relay_told or None} if was_relayed else None
    return {
        **status.as_json(),
        **_crossed(direct, relayed),
        "flows": sum(each["flows"] for each in services),
        "relay": relay,
        "services": services,
        "server": server,
        "text": sentence(status),
    }


def _crossed(*ways: Way) -> dict[str, Any]:
    return {
        "sent": sum(way.sent for way in ways),
        "received": sum(way.received for way in ways),
        "sent_octets": sum(way.sent_octets for way in ways),
        "received_octets": sum(way.received_octets for way in ways),
    }
