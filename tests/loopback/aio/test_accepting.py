"""Connections at the server's door: taken, refused with a word or without one, and left to wait."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from nat_traversal.aio.accepting import Acceptor, Address
from tests.loopback.support import eventually

BURST = 2


@dataclass
class Door:
    """What the acceptor under test was asked and told."""

    port: int
    word: bytes | None = None
    """The answer to the next that come: None takes them."""
    taken: list[Greeter] = field(default_factory=list)
    troubles: list[OSError] = field(default_factory=list)

    def admit(self, _: Address) -> bytes | None:
        return self.word

    def accepted(self, _: Address) -> Greeter:
        self.taken.append(Greeter())
        return self.taken[-1]


class Greeter(asyncio.Protocol):
    """Says one word, and hears what comes."""

    def __init__(self) -> None:
        self.heard = b""
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"hello")

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True


class Listener(socket.socket):
    """A socket that may be out of descriptors."""

    is_out = False
    tries = 0

    def accept(self) -> tuple[socket.socket, Address]:
        if self.is_out:
            self.tries += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@asynccontextmanager
async def a_door() -> AsyncIterator[tuple[Door, Listener]]:
    listener = Listener(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    door = Door(listener.getsockname()[1])
    acceptor = Acceptor(
        [listener],
        backlog=16,
        burst=BURST,
        again=0.02,
        admit=door.admit,
        accepted=door.accepted,
        out_of_files=door.troubles.append,
    )
    try:
        yield door, listener
    finally:
        acceptor.close()
        for each in door.taken:
            each.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@asynccontextmanager
async def a_caller(door: Door) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        yield reader
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_more_than_a_burst_is_taken_in_several_turns() -> None:
    async with a_door() as (door, _):
        callers = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(2 * BURST + 1)]
        try:
            counts = set()

            def all_taken() -> bool:
                counts.add(len(door.taken))
                return len(door.taken) == len(callers)

            await eventually(all_taken, "all are taken")
            assert counts <= {0, BURST, 2 * BURST, len(callers)}, "others have their turn between"
        finally:
            for each in callers:
                each.close()


async def test_a_refused_one_is_told_why_or_reset_and_no_protocol_is_made() -> None:
    async with a_door() as (door, _):
        door.word = b"no\n"
        async with a_caller(door) as told:
            assert await told.read() == b"no\n"
        door.word = b""
        with pytest.raises(ConnectionResetError):
            async with a_caller(door) as silent:
                await silent.read()
        assert door.taken == []


async def test_out_of_descriptors_it_says_so_once_and_goes_on_when_there_are_some() -> None:
    async with a_door() as (door, listener):
        listener.is_out = True
        async with a_caller(door) as waiting:
            await eventually(lambda: listener.tries >= 3, "it has tried again")
            assert [each.errno for each in door.troubles] == [errno.EMFILE]
            listener.is_out = False
            assert await waiting.readexactly(5) == b"hello"


async def test_a_word_before_the_end_arrives_though_the_other_end_is_still_speaking() -> None:
    async with a_door() as (door, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"x" * 100_000)
        await eventually(lambda: door.taken and door.taken[0].heard, "it is heard")
        (greeter,) = door.taken
        greeter.transport.write(b" and goodbye")
        greeter.transport.close()
        assert await reader.read() == b"hello and goodbye"
        writer.transport.abort()
        await eventually(lambda: greeter.is_over, "the end is told")


async def test_a_paused_one_is_left_to_the_kernel() -> None:
    async with a_door() as (door, _):
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        await eventually(lambda: door.taken, "it is taken")
        (greeter,) = door.taken
        greeter.transport.pause_reading()
        writer.write(b"later")
        async with a_caller(door) as other:
            await other.readexactly(5)
        assert greeter.heard == b""
        greeter.transport.resume_reading()
        await eventually(lambda: greeter.heard == b"later", "it is read after all")
        writer.transport.abort()
        await eventually(lambda: greeter.is_over, "the end is told")
