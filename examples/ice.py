"""Two aioice peers behind NATs, and coturn as their STUN or TURN server.

With STUN alone they connect where the NATs allow it, directly. With TURN they always do, by whichever
way answers first: aioice does not wait for a better one.

    python examples/ice.py [NAT_A NAT_B [stun|turn]]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lab.scenario import NatLab

PEER = f"{sys.executable} {Path(__file__).with_name('ice_peer.py')}"
SIGNAL_PORT = 8080
COTURN = (
    "turnserver -n -L $LAB_SERVER -p 3478 --lt-cred-mech --user lab:secret --realm lab"
    " --no-tcp --no-tls --log-file stdout"
)


def run(lab: NatLab, helper: str) -> str:
    """Connect the peers. Returns ``direct`` or ``relayed``, as the packets show, or ``no path``."""
    lab.start("server", COTURN, ready="udp:3478")
    lab.start("server", f"{PEER} signal {SIGNAL_PORT}", ready=f"tcp:{SIGNAL_PORT}")
    peers = [
        lab.start(f"host_{x}", f"{PEER} peer $LAB_NODE $LAB_SERVER {SIGNAL_PORT} {x} {helper}")
        for x in "ab"
    ]
    heard = [peer.wait_for_line("this is host_[ab]|no path", timeout=30)[0] for peer in peers]
    if heard == ["no path", "no path"]:
        return "no path"
    assert heard == ["this is host_b", "this is host_a"], heard
    server = lab.environment("server")["LAB_SELF"]
    arrivals = [
        packet
        for packet in lab.packets()
        if packet.point == "host_b-eth0"
        and not packet.outgoing
        and b"this is host_a" in packet.payload
    ]
    return "relayed" if arrivals[0].source.address == server else "direct"


if __name__ == "__main__":
    pair = sys.argv[1:3] or ["symmetric", "symmetric"]
    helper = sys.argv[3] if sys.argv[3:] else "turn"
    with (
        tempfile.TemporaryDirectory() as directory,
        NatLab(pair[0], pair[1], Path(directory)) as standing,
    ):
        print(f"{pair[0]} × {pair[1]} with {helper}: {run(standing, helper)}")
