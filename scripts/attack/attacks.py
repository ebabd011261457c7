"""The attacks: each a function that gets ready, says so once, and goes on until it is killed."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, encode, handle_of
from nat_traversal.wire.endpoint import Endpoint
from scripts.attack.swarm import Swarm, addresses, register_line

PING = control.encode(m.Heartbeat(1))
RETRY = control.encode(m.Retry(2, os.urandom(32)))


@dataclass(frozen=True, slots=True)
class Target:
    """The server, the addresses that the attacker has, and the word that it is at work."""

    server: Endpoint
    sources: list[str]
    ready: Callable[[], None]


def _flood(swarm: Swarm, line: bytes, each: int, rate: float, ready: Callable[[], None]) -> None:
    """Every connection says `line` in runs of `each`, `rate` lines a second."""
    swarm.gather()
    ready()
    run, pause = line * each, each / rate
    while True:
        now = time.monotonic()
        swarm.turn()
        for bot in list(swarm.bots.values()):
            if bot.heard and bot.due <= now:
                bot.due = max(bot.due + pause, now - 1.0) if bot.due else now + pause
                swarm.send(bot, run)
        time.sleep(0.001)


def registered(target: Target, count: int = 4096) -> None:
    """4,096 that register, and stay."""
    swarm = Swarm(target.server, target.sources, count, register_line)
    swarm.gather(within=15.0)
    target.ready()
    while True:
        swarm.turn(0.05)


def bursting(target: Target, count: int) -> None:
    """Clients that register, and say all they can."""
    _flood(Swarm(target.server, target.sources, count, register_line), PING, 100, 1e6, target.ready)


def at_rate(target: Target, count: int, rate: float = 20.0) -> None:
    """Clients that say as much as one may."""
    swarm = Swarm(target.server, target.sources, count, register_line)
    _flood(swarm, PING, 1, rate, target.ready)


def retrying(target: Target, count: int = 500) -> None:
    """Pairs that want a new attempt without end."""
    swarm = Swarm(target.server, target.sources, count, register_line)
    _flood(swarm, RETRY, 20, 1e6, target.ready)


def saying(target: Target, octets: bytes, count: int = 2000) -> None:
    """Connections that say something that is no message, and come back."""
    swarm = Swarm(target.server, target.sources, count, lambda: octets)
    swarm.fill(count)
    target.ready()
    while True:
        swarm.turn(0.01)


def churn(target: Target, count: int = 500) -> None:
    """Clients that register, leave, and come back."""
    swarm = Swarm(target.server, target.sources, count, register_line)
    target.ready()
    while True:
        swarm.turn(0.005)
        for bot in list(swarm.bots.values()):
            if bot.heard:
                swarm.end(bot)


def half_open(target: Target, count: int = 4096) -> None:
    """Connections that say nothing, or an octet a minute."""
    swarm = Swarm(target.server, target.sources, count, lambda: b"{")
    swarm.fill(count)
    target.ready()
    while True:
        swarm.turn(0.02)


def handshakes(target: Target, count: int = 500) -> None:
    """TLS handshakes that are begun, and left to the server."""
    hello = client_hello()
    swarm = Swarm(target.server, target.sources, count, lambda: hello)
    target.ready()
    while True:
        swarm.turn(0.005)
        for bot in list(swarm.bots.values()):
            if bot.heard:
                swarm.end(bot)


def client_hello() -> bytes:
    """The first words of a TLS client."""
    import ssl  # noqa: PLC0415 - one attack needs it

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="server").do_handshake()
    return out.read()


def datagrams(target: Target, make: Callable[[random.Random], bytes], rate: float = 50_000) -> None:
    """So many datagrams a second, each from another of the addresses."""
    rng = random.Random(1)  # noqa: S311 - no secret comes from it
    socks = []
    for source in target.sources[:500]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, 0))
        sock.setblocking(False)
        socks.append(sock)
    ready_made = [make(rng) for _ in range(5000)]
    to, number, began = target.server.sockaddr, 0, time.monotonic()
    target.ready()
    while True:
        ahead = number - (time.monotonic() - began) * rate
        if ahead > 0:
            time.sleep(ahead / rate)
            continue
        if ahead < -5000:
            began, number = time.monotonic(), 0
        for _ in range(50):
            number += 1
            with contextlib.suppress(OSError):
                socks[number % len(socks)].sendto(ready_made[number % 5000], to)


def random_announce(rng: random.Random) -> bytes:
    """One of somebody who has not registered."""
    return encode(Announce(rng.randbytes(16), rng.randrange(1, 1 << 40), 1, rng.randbytes(16)))


def random_octets(rng: random.Random) -> bytes:
    """Noise that no kind of datagram begins with, or that one does."""
    return rng.choice([b"\xc1", b"\x00", b"\x7f", b""]) + rng.randbytes(86)


def stun_request(rng: random.Random) -> bytes:
    """A request that is in order."""
    return bytes.fromhex("000100002112a442") + rng.randbytes(12)


def forged_announces(target: Target) -> None:
    """Announces with the handle of one who has registered, and a MAC that nobody made."""
    key = os.urandom(32)
    from nat_traversal.wire.offers import Offer, Suite, Trust  # noqa: PLC0415

    offer = Offer(os.urandom(16), os.urandom(32), b"", Trust.SERVER, (Suite.AES_256_GCM,))
    line = control.encode(m.Register(1, (2,), "forger", "nobody", key, 1, offer))
    sock = socket.create_connection(target.server.sockaddr, source_address=(target.sources[0], 0))
    sock.sendall(line)
    sock.recv(4096)
    handle = handle_of(key)
    datagrams(
        target,
        lambda rng: encode(Announce(handle, 1 + rng.randrange(1 << 40), 1, rng.randbytes(16))),
    )


NESTED = b"[" * 4000 + b"\n"
GARBAGE = b"\xff" * 100 + b"\n"
LONG = b"x" * 65_536

ATTACKS: dict[str, tuple[str, Callable[[Target], None]]] = {
    "registered": ("4,096 register", registered),
    "burst-2000": ("2,000 burst after they register", lambda t: bursting(t, 2000)),
    "rate-3600": ("3,600 at the allowed rate", lambda t: at_rate(t, 3600)),
    "burst-500": ("500 burst", lambda t: bursting(t, 500)),
    "retry-500": ("500 retry without end", retrying),
    "nested": ("nested JSON, 2,000 connections", lambda t: saying(t, NESTED)),
    "garbage": ("garbage, 2,000 connections", lambda t: saying(t, GARBAGE)),
    "long-lines": ("lines of 64 KiB, 2,000 connections", lambda t: saying(t, LONG)),
    "rate-2000": ("2,000 at the allowed rate", lambda t: at_rate(t, 2000)),
    "churn": ("500 register, leave, come back", churn),
    "half-open": ("4,096 half open, and an octet each", half_open),
    "announces": ("50,000 announces a second", lambda t: datagrams(t, random_announce)),
    "forged": ("50,000 announces a second with a forged MAC", forged_announces),
    "noise": ("50,000 datagrams of noise a second", lambda t: datagrams(t, random_octets)),
    "stun": ("50,000 STUN requests a second", lambda t: datagrams(t, stun_request)),
    "handshakes": ("TLS handshakes begun and left, 500 at a time", handshakes),
}
"""By name: what it is, in words, and what does it."""
SOURCES = {"one": 1, "many": 1000}


def sources(which: str) -> list[str]:
    """The addresses that an attacker has."""
    return addresses(SOURCES[which])
