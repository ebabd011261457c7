"""Two aioice peers behind NATs, and coturn as their STUN or TURN server.

With STUN alone they connect where the NATs allow it, directly. With TURN they always do, by whichever
way answers first: aioice does not wait for a better one.

    python examples/ice.py [NAT_A NAT_B [stun|turn|cut]]

With `cut` the relay loses all UDP for two seconds while they talk through it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from natlab.testbed.api import NatLab
from natlab.testbed.program import LabProgram

PEER = f"{sys.executable} {Path(__file__).with_name('ice_peer.py')}"
SIGNAL_PORT = 8080
COTURN = (
    "turnserver -n -L $LAB_SERVER -p 3478 --lt-cred-mech --user lab:secret --realm lab"
    " --no-tcp --no-tls --log-file stdout"
)


def run(lab: NatLab, helper: str) -> str:
    """Connect the peers. Returns ``direct`` or ``relayed``, as the packets show, or ``no path``."""
    if connect(lab, helper) is None:
        return "no path"
    server = lab.environment("server")["LAB_SELF"]
    arrivals = [
        packet
        for packet in lab.packets()
        if packet.point == "host_b-eth0"
        and not packet.outgoing
        and b"this is host_a" in packet.payload
    ]
    return "relayed" if arrivals[0].source.address == server else "direct"


def connect(lab: NatLab, *words: str) -> list[LabProgram] | None:
    """The two peers, once each has heard the other; None if they said that there is no path."""
    lab.start("server", COTURN, ready="udp:3478")
    lab.start("server", f"{PEER} signal {SIGNAL_PORT}", ready=f"tcp:{SIGNAL_PORT}")
    how = " ".join(words)
    peers = [
        lab.start(f"host_{x}", f"{PEER} peer $LAB_NODE $LAB_SERVER {SIGNAL_PORT} {x} {how}")
        for x in "ab"
    ]
    heard = [peer.wait_for_line("this is host_[ab]|no path", timeout=30)[0] for peer in peers]
    if heard == ["no path", "no path"]:
        return None
    assert heard == ["this is host_b", "this is host_a"], heard
    return peers


@dataclass(frozen=True, slots=True)
class Cut:
    """When the relay was cut, in seconds since 1970, and how many datagrams each peer has missed."""

    began: float
    ended: float
    missed: tuple[int, ...]


def cut_relay(lab: NatLab, seconds: float = 2.0) -> Cut:
    """Cut the relay for so long between two peers that talk through it, until both hear each other again.

    They keep the path: aioice gives up after 30 s without consent (RFC 7675 section 5.1).
    """
    peers = connect(lab, "turn", "talk")
    assert peers is not None
    for peer in peers:
        peer.wait_for_line("says [0-9]+")
    began = lab.inject("relay-cut server").at
    time.sleep(seconds)
    before = [_said(peer)[-1] for peer in peers]
    ended = time.time()
    lab.inject("relay-restore server")
    missed = []
    for peer, last in zip(peers, before, strict=True):
        later = [last]
        deadline = time.monotonic() + 20
        while later[-1] == last and time.monotonic() < deadline:
            time.sleep(0.05)
            later = [number for number in _said(peer) if number >= last]
        assert later[-1] > last, f"{peer.name} hears nothing any more"
        missed.append(later[1] - last - 1)
    return Cut(began, ended, tuple(missed))


def _said(peer: LabProgram) -> list[int]:
    """The numbers that `peer` has heard from the other."""
    texts = (line.text for line in peer.lines("stdout"))
    return [int(text.rpartition(" ")[2]) for text in texts if " says " in text]


if __name__ == "__main__":
    pair = sys.argv[1:3] or ["symmetric", "symmetric"]
    helper = sys.argv[3] if sys.argv[3:] else "turn"
    with (
        tempfile.TemporaryDirectory() as directory,
        NatLab(pair[0], pair[1], Path(directory)) as lab,
    ):
        said = f"missed {cut_relay(lab).missed}" if helper == "cut" else run(lab, helper)
        print(f"{pair[0]} × {pair[1]} with {helper}: {said}")
