"""The program that answers as the store may be no Redis, or a broken one: that costs one reason each time, and the store is tried again."""

from __future__ import annotations

import asyncio
import logging

import pytest

from nat_traversal.aio.redis_store import RedisStore
from nat_traversal.server.cluster import words as w
from tests.loopback.aio.store_times import SHORTER
from tests.loopback.support import eventually
from tests.unit.server.test_guests import registers

RIGHT = {
    b"SUBSCRIBE": b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
    b"INFO": b"$21\r\nuptime_in_seconds:100\r\n",
    b"SCRIPT": b"$4\r\nabcd\r\n",
    b"PING": b"*2\r\n$4\r\npong\r\n$0\r\n\r\n",
}
"""To each command; OK to others."""
PROTOCOL = "Protocol Error"
NO_REDIS = "the program there answers as no Redis does"


class Store:
    """Answers each command with what `answers` has for it."""

    def __init__(self) -> None:
        self.answers = dict(RIGHT)

    async def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                writer.write(await self.answer(words[0], reader))
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def answer(self, command: bytes, connection: asyncio.StreamReader) -> bytes:
        """To one command, when it is time to answer it."""
        del connection
        return self.answers.get(command, b"+OK\r\n")


@pytest.mark.parametrize(("uptime", "admit_in"), [(-18_000, 6.0), (1, 5.0), (18_000, 0.0)])
async def test_a_store_whose_clock_was_set_keeps_nobody_out_for_longer_than_a_lease(
    uptime: int, admit_in: float
) -> None:
    """Redis says how long it has run by its wall clock."""
    store, told = Store(), list[w.StoreAnswer]()
    text = f"uptime_in_seconds:{uptime}\r\n".encode()
    store.answers[b"INFO"] = b"$%d\r\n%s\r\n" % (len(text), text)
    async with await asyncio.start_server(store.accepted, "127.0.0.1") as listening:
        port = listening.sockets[0].getsockname()[1]
        client = RedisStore(f"redis://127.0.0.1:{port}", "one", told.append)
        await eventually(lambda: told, "a store")
        await client.close()
    assert told == [w.StoreReached(admit_in)]


async def test_an_error_at_the_moment_of_the_end_does_not_hide_it() -> None:
    store, told, before = Store(), list[w.StoreAnswer](), asyncio.all_tasks()
    store.answers[b"EVALSHA"] = b"*1\r\n:1\r\n"

    def fails_at_the_end(answer: w.StoreAnswer) -> None:
        told.append(answer)
        if told[1:]:
            task.cancel()
            raise RuntimeError

    async with await asyncio.start_server(store.accepted, "127.0.0.1") as listening:
        port = listening.sockets[0].getsockname()[1]
        client = RedisStore(f"redis://127.0.0.1:{port}", "one", fails_at_the_end, SHORTER)
        (task,) = asyncio.all_tasks() - before
        await eventually(lambda: told, "a store")
        client.request(w.ClaimId(1, w.Card(registers("host_b", "host_a", 0), "192.0.2.7")))
        await eventually(task.done, "its end")
    assert told[1:] == [w.Granted(1, "host_b", None)]


@pytest.mark.parametrize(
    ("command", "answer", "reason"),
    [
        (b"SUBSCRIBE", b"HTTP/1.1 400 Bad Request\r\n\r\n", PROTOCOL),
        (b"INFO", b"$20\r\nuptime_in_seconds:zz\r\n", NO_REDIS),
        (b"INFO", b"$2\r\n\xff\xff\r\n", NO_REDIS),
        (b"SET", b"$xx\r\n", NO_REDIS),
        (b"SET", b"*1\r\n" * 5000, NO_REDIS),
        (b"SET", b"-OOM command not allowed\r\n", "command not allowed"),
        (b"PING", b":7\r\n", NO_REDIS),
        (b"PING", b"*0\r\n", NO_REDIS),
        (b"PING", b"*1\r\n$7\r\nmessage\r\n", NO_REDIS),
    ],
)
async def test_an_answer_that_no_store_gives_is_one_reason_and_no_traceback(
    caplog: pytest.LogCaptureFixture, command: bytes, answer: bytes, reason: str
) -> None:
    store, told = Store(), list[w.StoreAnswer]()
    store.answers[command] = answer
    caplog.set_level(logging.INFO)
    async with await asyncio.start_server(store.accepted, "127.0.0.1") as listening:
        port = listening.sockets[0].getsockname()[1]
        client = RedisStore(f"redis://127.0.0.1:{port}", "one", told.append, SHORTER)

        def lost() -> list[str]:
            return [each.reason for each in told if isinstance(each, w.StoreLost)]

        await eventually(lambda: len(lost()) == 2, "two tries")
        store.answers = dict(RIGHT)
        before = len(told)
        reached = w.StoreReached(0.0)
        await eventually(lambda: told[before:][-1:] == [reached], "the store is right again")
        await client.close()
    assert all(each.startswith(reason) for each in lost()), lost()
    assert not [each for each in caplog.records if each.name.startswith("nat_traversal")]
