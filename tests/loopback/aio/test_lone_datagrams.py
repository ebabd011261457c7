"""A datagram that comes alone takes a shorter way than those of a batch: the same has to become of both."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from nat_traversal.aio.packet_io import ALONE
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.offers import Suite
from tests.loopback.aio.ends import End, an_end
from tests.loopback.programs import Program
from tests.loopback.support import eventually


def _peers(end: End) -> list[bytes]:
    """Datagrams of every sort: what programs sent, what they did not, and what nobody has sealed."""
    data, lost = end.data(b"one"), end.data(b"lost")
    seal = end.peers.sealer.seal
    return [
        data,
        data,
        end.data(b""),
        end.data(b"back", 9, from_listener=False),
        lost[:-1] + bytes([lost[-1] ^ 1]),
        lost[:1] + b"else" + lost[5:],
        lost[:8],
        lost,
        *[seal(Kind.DATA, bytes(length)) for length in range(5)],
        seal(Kind.PING, b"ping"),
        *end.bundle((1, 7, b"parts meet"), content=9),
        seal(Kind.BUNDLE, b"\0"),
        seal(Kind.BYE, b""),
        b"",
        b"HELLO",
    ]


async def _became(end: End, peer: Program, *, alone: bool) -> dict[str, Any]:
    """What becomes of the peer's datagrams, each of which is read before the next one leaves."""
    for datagram in _peers(end):
        end.clock.now += 2 * ALONE if alone else 0.0
        peer.send(datagram, end.endpoint)
        await eventually(lambda: not _has_more(end.sock), "it is read")
    return {
        "taken": end.taker.taken,
        "told": end.told,
        "other": end.other,
        "events": end.events,
        "counted": end.counters.counted(),
    }


def _has_more(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK) or True)
    except BlockingIOError:
        return False


@pytest.mark.parametrize("suite", [Suite.AES_256_GCM, Suite.NONE])
async def test_the_same_becomes_of_a_datagram_alone_and_in_a_batch(suite: Suite) -> None:
    found = []
    for alone in (True, False):
        async with an_end(suite) as (end, peer):
            found.append(await _became(end, peer, alone=alone))
    assert found[0] == found[1]
    first = b"lost" if suite is Suite.AES_256_GCM else b"losu"  # without a tag nobody can tell
    whole = [b"one", b"", b"back", first, b"parts meet"]
    assert [payload for _, _, payload in found[0]["taken"]] == whole
