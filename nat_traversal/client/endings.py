"""Why a direct path or an attempt has ended, as far as this side can tell."""

from __future__ import annotations

from nat_traversal.client.phases import Established, Phase, Punching
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m


def replaced(phase: Established) -> note.PathLost:
    """The server orders a fresh socket while there is a path: why it is lost, and whether the attempt goes on."""
    # Only this side has proof: the peer has sent nothing that only an established peer
    # sends, and has not left either. Then the order means the next round.
    if phase.method.peer_has_proof or phase.path.peer_knows:
        return note.PathLost("the other side asked for a new path")
    return note.PathLost("the other side had no proof of it", attempt_goes_on=True)


def verdict(phase: Phase, peer: str, code: str, text: str) -> tuple[str, str]:
    """Code and text of a failed attempt; others than those given if a stranger has answered as `peer`."""
    if isinstance(phase, Punching) and phase.method.forged and code == m.Verdict.NO_PATH:
        return m.Verdict.KEYS_DIFFER, f"the host that answers as {peer} does not have its key"
    return code, text
