"""What a TURN server sends by TCP, taken apart as the library does, wherever the connection cuts it."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from aioice import stun

from nat_traversal.aio.turn_client import TcpClient

MESSAGE = bytes(stun.Message(stun.Method.REFRESH, stun.Class.REQUEST, attributes={"LIFETIME": 600}))


def channel_data(channel: int, data: bytes) -> bytes:
    """As by TCP: filled up to four octets (RFC 8656 section 12.5)."""
    return struct.pack("!HH", channel, len(data)) + data + bytes(-len(data) % 4)


SAID = [
    channel_data(0x4000, b"x" * 5),
    MESSAGE,
    channel_data(0x7FFF, b""),
    channel_data(0x4001, b"y" * 8),
    channel_data(0x4000, b"z"),
]
WHOLE = b"".join(SAID)


class Listening(TcpClient):
    """Keeps what it hears."""

    def __init__(self) -> None:
        super().__init__(("192.0.2.1", 3478), None, None, 600, 600)
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        del addr
        assert isinstance(data, bytes)
        self.heard.append(data)


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 7, 11, 19, 20, 21, len(WHOLE)])
def test_each_message_is_whole_wherever_it_is_cut(every: int) -> None:
    client = Listening()
    edges = [*range(0, len(WHOLE), every), len(WHOLE)]
    for begin, end in pairwise(edges):
        client.data_received(WHOLE[begin:end])
    assert client.heard == SAID


def test_the_last_octet_of_the_filling_is_waited_for() -> None:
    client = Listening()
    client.data_received(WHOLE[:-1])
    assert client.heard == SAID[:-1]
    client.data_received(WHOLE[-1:])
    assert client.heard == SAID
