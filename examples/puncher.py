"""A UDP hole puncher in plain Python, for `puncher.toml`: the smallest program that the lab can judge.

On the server:    python puncher.py server PORT          tells each of two peers where it sees the other
On each host:     python puncher.py peer NAME SERVER PORT

A peer sends to the other, ten times a second, until it has heard it and knows that it was heard.
"""

from __future__ import annotations

import json
import socket
import sys
import time

EVERY, GIVE_UP = 0.1, 5.0


def serve(port: int) -> None:
    """Answer each peer with the address of the other, once there is one."""
    seen: dict[str, tuple[str, int]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("0.0.0.0", port))  # noqa: S104 - the lab's own network
        while True:
            name, source = opened.recvfrom(100)
            seen[name.decode()] = source
            others = [address for each, address in seen.items() if each != name.decode()]
            if others:
                opened.sendto(json.dumps(others[0]).encode(), source)


def meet(name: str, server: tuple[str, int]) -> bool:
    """Ask the server, then punch; whether both sides heard each other."""
    peer: tuple[str, int] | None = None
    heard = was_heard = False
    deadline = time.monotonic() + GIVE_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(EVERY)
        while time.monotonic() < deadline:
            if peer is None:
                opened.sendto(name.encode(), server)
            else:
                opened.sendto(f"this is {name}, {'heard' if heard else 'deaf'}".encode(), peer)
            if heard and was_heard:
                return True
            try:
                said, source = opened.recvfrom(100)
            except (TimeoutError, ConnectionRefusedError):
                continue
            if source == server:
                host, port = json.loads(said)
                peer = (host, port)
            else:
                heard, peer = True, source
                was_heard = was_heard or said.endswith(b"heard")
    return False


if __name__ == "__main__":
    if sys.argv[1] == "server":
        serve(int(sys.argv[2]))
    else:
        connected = meet(sys.argv[2], (sys.argv[3], int(sys.argv[4])))
        print("connected" if connected else "no path", flush=True)
        sys.exit(0 if connected else 1)
