"""The attacks: each gets ready, says so once, and goes on for as long as somebody asks for its next step."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, encode, handle_of
from nat_traversal.wire.endpoint import Endpoint
from scripts.attack.swarm import Swarm, Tally, addresses, register_line

PING = control.encode(m.Heartbeat(1))
RETRY = control.encode(m.Retry(2, os.urandom(32)))
PROOF = control.encode(m.Proof(os.urandom(32)))


Attack = Generator[float, None, None]
"""An attack at work: each step gives the seconds until the next one."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server, the addresses that the attacker has, and the word that it is at work."""

    server: Endpoint
    sources: list[str]
    ready: Callable[[], None] = lambda: None
    tally: Tally = field(default_factory=Tally)


def swarm_of(target: Target, count: int, first: Callable[[], bytes]) -> Swarm:
    """So many connections, counted in the target's tally."""
    return Swarm(target.server, target.sources, count, first, target.tally)


def _flood(target: Target, count: int, line: bytes, each: int, rate: float) -> Attack:
    """Clients that register, then say `line` in runs of `each`, `rate` lines a second."""
    with swarm_of(target, count, register_line) as swarm:
        yield from swarm.gather()
        target.ready()
        run, pause = line * each, each / rate
        while True:
            now = time.monotonic()
            swarm.turn()
            for bot in list(swarm.bots.values()):
                if bot.heard and bot.due <= now:
                    bot.due = max(bot.due + pause, now - 1.0) if bot.due else now + pause
                    swarm.send(bot, run)
            yield 0.001


def registered(target: Target, count: int = 4096) -> Attack:
    """Many that register, and stay."""
    with swarm_of(target, count, register_line) as swarm:
        yield from swarm.gather(within=15.0)
        target.ready()
        while True:
            swarm.turn()
            yield 0.01


def bursting(target: Target, count: int) -> Attack:
    """Clients that register, and say all they can."""
    return _flood(target, count, PING, 100, 1e6)


def at_rate(target: Target, count: int, rate: float = 20.0) -> Attack:
    """Clients that say as much as one may."""
    return _flood(target, count, PING, 1, rate)


def retrying(target: Target, count: int = 500) -> Attack:
    """Pairs that want a new attempt without end."""
    return _flood(target, count, RETRY, 20, 1e6)


def saying(target: Target, octets: bytes, count: int = 2000) -> Attack:
    """Connections that say something that is no message, and come back."""
    with swarm_of(target, count, lambda: octets) as swarm:
        swarm.fill(count)
        target.ready()
        while True:
            swarm.turn()
            yield 0.002


def leaving(target: Target, count: int, first: Callable[[], bytes]) -> Attack:
    """Connections that say something, wait for a word of the server, leave, and come back."""
    with swarm_of(target, count, first) as swarm:
        target.ready()
        while True:
            swarm.turn()
            for bot in list(swarm.bots.values()):
                if bot.heard:
                    swarm.end(bot)
            yield 0.001


def churn(target: Target, count: int = 500) -> Attack:
    """Clients that register, leave, and come back."""
    return leaving(target, count, register_line)


def half_open(target: Target, count: int = 4096) -> Attack:
    """Connections that say nothing, or an octet a minute."""
    with swarm_of(target, count, lambda: b"{") as swarm:
        swarm.fill(count)
        target.ready()
        while True:
            swarm.turn()
            yield 0.005


def handshakes(target: Target, count: int = 500) -> Attack:
    """TLS handshakes that are begun, and left to the server."""
    hello = client_hello()
    return leaving(target, count, lambda: hello)


def bad_proofs(target: Target, count: int = 500) -> Attack:
    """Clients that show the public key of an id's holder, and have no proof that it is theirs."""
    owner = os.urandom(32)
    held = register_line("held", owner)
    with swarm_of(target, 1, lambda: held) as holder:
        yield from holder.gather(share=1.0)
        with swarm_of(target, count, lambda: register_line("held", owner)) as swarm:
            target.ready()
            while True:
                holder.turn()
                swarm.turn()
                for bot in list(swarm.bots.values()):
                    if bot.heard and not bot.due:
                        bot.due = 1.0
                        swarm.send(bot, PROOF)
                yield 0.001


def client_hello() -> bytes:
    """The first words of a TLS client."""
    import ssl  # noqa: PLC0415 - one attack needs it

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="server").do_handshake()
    return out.read()


def datagrams(
    target: Target, make: Callable[[random.Random], bytes], rate: float = 50_000
) -> Attack:
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
    try:
        while True:
            ahead = number - (time.monotonic() - began) * rate
            if ahead > 0:
                yield ahead / rate
                continue
            if ahead < -5000:
                began, number = time.monotonic(), 0
            for _ in range(50):
                number += 1
                with contextlib.suppress(OSError):
                    socks[number % len(socks)].sendto(ready_made[number % 5000], to)
                    target.tally.datagrams += 1
            yield 0.0
    finally:
        for sock in socks:
            sock.close()


def random_announce(rng: random.Random) -> bytes:
    """One of somebody who has not registered."""
    return encode(Announce(rng.randbytes(16), rng.randrange(1, 1 << 40), 1, rng.randbytes(16)))


def random_octets(rng: random.Random) -> bytes:
    """Noise that no kind of datagram begins with, or that one does."""
    return rng.choice([b"\xc1", b"\x00", b"\x7f", b""]) + rng.randbytes(86)


def stun_request(rng: random.Random) -> bytes:
    """A request that is in order."""
    return bytes.fromhex("000100002112a442") + rng.randbytes(12)


def forged_announces(target: Target, rate: float = 50_000) -> Attack:
    """Announces with the handle of one who has registered, and a MAC that nobody made."""
    key = os.urandom(32)
    from nat_traversal.wire.offers import Offer, Suite, Trust  # noqa: PLC0415

    offer = Offer(os.urandom(16), os.urandom(32), b"", Trust.SERVER, (Suite.AES_256_GCM,))
    line = control.encode(m.Register(1, (2,), "forger", "nobody", key, 1, offer))
    with swarm_of(target, 1, lambda: line) as registered:
        yield from registered.gather(share=1.0)
        handle = handle_of(key)
        yield from datagrams(
            target,
            lambda rng: encode(Announce(handle, 1 + rng.randrange(1 << 40), 1, rng.randbytes(16))),
            rate,
        )


NESTED = b"[" * 4000 + b"\n"
GARBAGE = b"\xff" * 100 + b"\n"
LONG = b"x" * 65_536

ATTACKS: dict[str, tuple[str, Callable[[Target], Attack]]] = {
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
    "bad-proofs": ("proofs that are none, 500 at a time", bad_proofs),
    "handshakes": ("TLS handshakes begun and left, 500 at a time", handshakes),
}
"""By name: what it is, in words, and what does it."""
WITH_TLS = frozenset({"handshakes"})
"""Attacks at a server with TLS."""
SOURCES = {"one": 1, "many": 1000}


def sources(which: str) -> list[str]:
    """The addresses that an attacker has."""
    return addresses(SOURCES[which])
