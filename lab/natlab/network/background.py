"""Other subscribers of a NAT: datagrams that take its ports and places, as those of strangers do.

Each comes from a new internal endpoint, at a random moment. The NAT sends them itself, as if they had come
from an inside host, and they end at its outer side: so no capture has them, and nobody else is burdened.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from natlab.network.addressing import Role
from natlab.network.network import Network
from natlab.network.nodes import Nat
from natlab.sandbox.netns import in_namespace
from natlab.sandbox.threads import LabThread

_ANYWHERE, _PORT = "192.0.2.200", 9
"""Where they go, if they got there: nobody is there, on the discard port (RFC 863)."""


@contextmanager
def subscribers(network: Network, seed: int = 0) -> Iterator[None]:
    """Let the other subscribers of each NAT of `network` send, until the end of the block."""
    ended = threading.Event()
    with ExitStack() as stack:
        threads = []
        failed: list[BaseException] = []
        for name in network.with_role(Role.NAT):
            nat = network.nat(name)
            if nat.preset.behavior is None or not nat.preset.behavior.background:
                continue
            with in_namespace(network.pid(name)):
                raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            stack.enter_context(raw)
            rng = random.Random(f"{name}/{seed}")  # noqa: S311 - when and from where, no secret
            work = partial(_send, raw, nat, rng, ended)
            threads.append(LabThread(work, failed.append, f"subscribers of {name}"))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
            for error in failed:
                raise error


def _send(raw: socket.socket, nat: Nat, rng: random.Random, ended: threading.Event) -> None:
    assert nat.preset.behavior is not None
    rate, source = nat.preset.behavior.background, nat.ports.subscribers
    due = time.monotonic()
    while True:
        due += rng.expovariate(rate)
        if ended.wait(max(0.0, due - time.monotonic())):
            return
        try:
            raw.sendto(_datagram(source, rng.randrange(1024, 65536)), (_ANYWHERE, 0))
        except OSError:
            continue  # refused: the NAT is full, or its link is down


def _datagram(source: str, port: int) -> bytes:
    """One octet of UDP, without a checksum (RFC 768). The kernel fills in the rest (raw(7))."""
    addresses = socket.inet_aton(source) + socket.inet_aton(_ANYWHERE)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    return header + struct.pack("!HHHHB", port, _PORT, 9, 0, 0)
