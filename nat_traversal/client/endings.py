"""Why a direct path or an attempt has ended, or cannot begin, as far as this side can tell."""

from __future__ import annotations

from nat_traversal.client.phases import Announcing, Established, Phase, Punching
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.paths.path import Path
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce


def replaced(phase: Established) -> note.PathLost:
    """The server orders a fresh socket while there is a path: why it is lost, and whether the attempt goes on."""
    # Only this side has proof: the peer has sent nothing that only an established peer
    # sends, and has not left either. Then the order means the next round.
    if phase.method.peer_has_proof or phase.path.peer_knows:
        return note.PathLost("the other side asked for a new path")
    return note.PathLost("the other side had no proof of it", attempt_goes_on=True)


def verdict(
    phase: Phase, peer: str, code: str, text: str, *, met_stranger: bool
) -> tuple[str, str]:
    """Code and text of a failed attempt; others than those given if it `met_stranger` in the place of `peer`."""
    if met_stranger and code == m.Verdict.NO_PATH:
        return m.Verdict.KEYS_DIFFER, f"the host that answers as {peer} does not have its key"
    if isinstance(phase, Announcing) and phase.announcer.obstacle:
        text = phase.announcer.obstacle
    return code, text


def established(attempt: int, round_: int, path: Path, vouched: str) -> do.Action:
    """Tells that a path stands. `vouched`: the voucher for the peer, in words."""
    opened = (attempt, round_, path.method, path.remote, path.generation)
    return do.Tell(note.PathEstablished(*opened, vouched))


class Scarcity:
    """This host has had no room for a socket, from the first failure until the server has seen a socket again."""

    def __init__(self, again: float) -> None:
        self._again = again
        self._is_on = False
        self._has_failed = False
        """The server has ended an attempt meanwhile."""

    def failed(self, phase: Phase, action: object, reason: str, now: float) -> list[do.Action]:
        """The socket of `phase` could not be opened, which is told once, or an announce not be sent."""
        if not isinstance(phase, Announcing | Punching):
            return []
        match action:
            case do.OpenUdp():
                phase.announcer.not_opened(reason, now)
                was_on, self._is_on = self._is_on, True
                return [] if was_on else [do.Tell(note.SocketLacking(reason, self._again))]
            case do.SendDatagram(Announce()):
                phase.announcer.not_sent(reason)
        return []

    def explains(self, phase: Phase, now: float) -> bool:
        """Whether the server ended an attempt for want of this side's socket. `is_over` recalls that."""
        waits = isinstance(phase, Announcing) and not phase.announcer.is_unanswered(now)
        self._has_failed |= self._is_on and waits
        return self._has_failed

    def is_over(self) -> bool:
        """The server has seen a socket. Whether an attempt has failed meanwhile, once."""
        has_failed, self._has_failed = self._has_failed, False
        self._is_on = False
        return has_failed
