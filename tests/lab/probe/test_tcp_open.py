"""Two kernels' TCP judge what the model says of hosts that connect to each other through two NATs."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass

from natlab.network.addressing import SERVER
from natlab.oracle.tcp import tcp_opens
from tests.lab import warm

PAIRS = (
    ("port-restricted-cone", "port-restricted-cone"),
    ("home-router", "home-router"),
    ("linux-masquerade", "linux-masquerade"),
    ("EIM+APDF+no-crossing-syn", "EIM+APDF"),
    ("EIM+APDF+no-crossing-syn", "EIM+APDF+no-crossing-syn"),
    ("APDM+APDF+tcp-apdm", "EIM+APDF"),
    ("APDM+APDF+tcp-apdm", "EIM+EIF+tcp-eif"),
    ("EIM+EIF+tcp-adf", "EIM+APDF+syn-icmp"),
    ("home-router", "EIM+APDF+reject+syn-hold"),
)
NEVER = (
    ("EIM+APDF+no-crossing-syn", "EIM+APDF+no-crossing-syn"),
    ("APDM+APDF+tcp-apdm", "EIM+APDF"),
)
"""Those of `PAIRS` that get no connection."""
CROSSING_ALONE = (
    ("home-router", "home-router"),
    ("linux-masquerade", "linux-masquerade"),
    ("EIM+EIF+tcp-adf", "EIM+APDF+syn-icmp"),
)
"""Those that get one only where their SYNs cross on the way."""
_DELAY = 0.02
_FATE = 0.5
"""Seconds in which a SYN is there, and the answer back: each takes two delays."""
_AGAIN = 2.5
"""Seconds: Linux sends a SYN again after one."""


@dataclass(frozen=True, slots=True)
class _Host:
    """Its listener, the socket that connects, and where the server saw that."""

    pid: int
    listener: socket.socket
    connecting: socket.socket
    seen_as: tuple[str, int]


def _opened() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Which of `PAIRS`, all at once around one router, get a connection: at once, and in turn."""
    from natlab.links.apply import conditioned
    from natlab.links.conditions import LinkConditions, Way
    from natlab.network.network import standing
    from natlab.topologies.star import Star

    nats = "/".join(name for pair in PAIRS for name in pair)
    numbers = range(1, 2 * len(PAIRS) + 1)
    link = LinkConditions(Way(delay=_DELAY), Way(delay=_DELAY))
    with (
        standing(Star(peers=len(numbers), nats=nats)) as network,
        conditioned(network, {(f"nat_{n}", "internet"): link for n in numbers}),
    ):
        places = [(network.pid(f"host_{n}"), network.address(f"host_{n}")) for n in numbers]
        at_once, in_turn = (
            _connected(network.pid("server"), places, crossing=crossing)
            for crossing in (True, False)
        )
        return at_once, in_turn


def _connected(
    server_pid: int, places: list[tuple[int, str]], *, crossing: bool
) -> list[tuple[str, str]]:
    with ExitStack() as stack:
        server = _socket(stack, server_pid, str(SERVER.ip))
        server.listen(len(places))
        hosts = [_host(stack, *place, server) for place in places]
        pairs = list(zip(hosts[::2], hosts[1::2], strict=True))
        for first, second in pairs:
            first.connecting.connect_ex(second.seen_as)
            if crossing:
                second.connecting.connect_ex(first.seen_as)
        if not crossing:
            time.sleep(_FATE)
            for first, second in pairs:
                second.connecting.connect_ex(first.seen_as)
        return _carrying(stack, pairs)


def _host(stack: ExitStack, pid: int, address: str, server: socket.socket) -> _Host:
    asking = _socket(stack, pid, address)
    asking.connect(server.getsockname())
    accepted, seen_as = server.accept()
    stack.enter_context(accepted)
    listener, connecting = (_socket(stack, pid, *asking.getsockname()) for _ in range(2))
    listener.listen()
    connecting.setblocking(False)
    return _Host(pid, listener, connecting, seen_as)


def _socket(stack: ExitStack, pid: int, address: str, port: int = 0) -> socket.socket:
    from natlab.sandbox.netns import in_namespace

    with in_namespace(pid):
        opened = stack.enter_context(socket.socket())
    opened.settimeout(30)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
    opened.bind((address, port))
    return opened


def _carrying(stack: ExitStack, pairs: list[tuple[_Host, _Host]]) -> list[tuple[str, str]]:
    """Send on every connection that stands, until no more can; the NATs of the pairs whose hosts both heard."""
    heard: set[_Host] = set()
    streams: dict[socket.socket, _Host] = {}
    waiting = {host.connecting: host for pair in pairs for host in pair}
    listening = {host.listener: host for pair in pairs for host in pair}
    until = time.monotonic() + _AGAIN
    while (left := until - time.monotonic()) > 0 and len(heard) < 2 * len(pairs):
        readable, writable, _ = select.select([*listening, *streams], [*waiting], [], left)
        for ready in writable:
            host = waiting.pop(ready)
            if ready.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                streams[ready] = host
                ready.send(b"x")
        for ready in readable:
            if ready in listening:
                accepted, _ = ready.accept()
                streams[stack.enter_context(accepted)] = listening[ready]
                accepted.send(b"x")
                continue
            host = streams[ready]
            try:
                if ready.recv(16):
                    heard.add(host)
            except OSError:
                pass
            del streams[ready]
    return [nats for nats, hosts in zip(PAIRS, pairs, strict=True) if heard >= {*hosts}]


def test_two_kernels_that_connect_to_each_other_agree_with_the_model() -> None:
    at_once, in_turn = warm.call(60, _opened)
    said = [
        [pair for pair in PAIRS if tcp_opens(*pair, crossing=crossing)]
        for crossing in (True, False)
    ]
    assert at_once == said[0] == [pair for pair in PAIRS if pair not in NEVER]
    assert in_turn == said[1] == [pair for pair in at_once if pair not in CROSSING_ALONE]
