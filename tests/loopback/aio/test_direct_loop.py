"""The loop that calls readers without a detour: what they see is what asyncio's own shows them."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

if not hasattr(select, "epoll"):
    pytest.skip("the loop takes epoll", allow_module_level=True)

from nat_traversal.aio.direct_loop import DirectLoop

Story = Callable[[socket.socket, socket.socket], Coroutine[Any, Any, None]]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    with ours, theirs:
        for each in (ours, theirs):
            each.setblocking(False)
        yield ours, theirs


def told(pair: tuple[socket.socket, socket.socket], story: Story) -> None:
    with asyncio.Runner(loop_factory=DirectLoop) as runner:
        runner.run(asyncio.wait_for(story(*pair), 10.0))


def test_a_reader_runs_before_what_was_due_at_the_same_time(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    order: list[str] = []

    async def story(ours: socket.socket, theirs: socket.socket) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def read(word: str) -> None:
            order.append(f"{word} {ours.recv(9).decode()}")
            loop.call_soon(done.set)

        loop.add_reader(ours, read, "read")
        loop.call_later(0.0, order.append, "timer")
        theirs.send(b"one")
        await done.wait()
        loop.remove_reader(ours)

    told(pair, story)
    assert order == ["read one", "timer"]


def test_a_reader_that_fails_is_told_and_stays(pair: tuple[socket.socket, socket.socket]) -> None:
    failures: list[dict[str, Any]] = []

    async def story(ours: socket.socket, theirs: socket.socket) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(lambda _, context: failures.append(context))

        def read() -> None:
            if ours.recv(9) == b"bad":
                raise ValueError("bad")
            done.set()

        loop.add_reader(ours, read)
        theirs.send(b"bad")
        theirs.send(b"good")
        await done.wait()

    told(pair, story)
    assert [str(each["exception"]) for each in failures] == ["bad"]


def test_a_reader_may_be_replaced_joined_by_a_writer_and_removed(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    seen: list[str] = []

    async def story(ours: socket.socket, theirs: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        def reads(name: str, done: asyncio.Event) -> None:
            seen.append(f"{name} {ours.recv(9).decode()}")
            done.set()

        def writes(done: asyncio.Event) -> None:
            seen.append("writable")
            loop.remove_writer(ours)
            done.set()

        async def until(sent: bytes, *, writer: bool = False, name: str = "") -> None:
            read, wrote = asyncio.Event(), asyncio.Event()
            if name:
                loop.add_reader(ours, reads, name, read)
            if writer:
                loop.add_writer(ours, writes, wrote)
                await wrote.wait()
            theirs.send(sent)
            await read.wait()

        await until(b"1", name="first")
        await until(b"2", name="second")
        await until(b"3", name="third", writer=True)
        assert loop.remove_reader(ours)
        assert not loop.remove_reader(ours)
        theirs.send(b"4")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)

    told(pair, story)
    assert seen == ["first 1", "second 2", "writable", "third 3"]
    assert pair[0].recv(9) == b"4"


def test_a_reader_may_close_the_next_one_that_is_ready(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    seen: list[bytes] = []

    async def story(ours: socket.socket, theirs: socket.socket) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def read(sock: socket.socket, other: socket.socket) -> None:
            seen.append(sock.recv(9))
            loop.remove_reader(other)
            loop.call_soon(done.set)

        loop.add_reader(ours, read, ours, theirs)
        loop.add_reader(theirs, read, theirs, ours)
        ours.send(b"x")
        theirs.send(b"x")
        await done.wait()

    told(pair, story)
    assert seen == [b"x"]
