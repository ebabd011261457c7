"""A store that takes connections and answers too late is lost once, and counts as back when it answers in time."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from redis.asyncio import from_url

from nat_traversal.aio.redis_store import RedisStore
from nat_traversal.server.cluster import words as w
from tests.loopback.aio.store_times import SHORTER, WITHIN
from tests.loopback.aio.test_wrong_store import Store
from tests.loopback.cli.test_store import redis
from tests.loopback.support import eventually, unused
from tests.unit.server.test_guests import registers

Late = Callable[[asyncio.subprocess.Process, Any, float], Awaitable[None]]
"""Makes a Redis late for so many seconds."""


class LateStore(Store):
    """Late with each command that follows the first `prompt` ones of its connection."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt = 1000
        self._came: Counter[asyncio.StreamReader] = Counter()

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(self._came)

    async def answer(self, command: bytes, connection: asyncio.StreamReader) -> bytes:
        self._came[connection] += 1
        if self._came[connection] > self.prompt:
            await asyncio.sleep(1.5 * WITHIN)
        return await super().answer(command, connection)


class Told:
    """What the store's client tells the machine."""

    def __init__(self) -> None:
        self.lost_or_back: list[str] = []
        """As the server tells people, who hear of a loss once."""

    def __call__(self, answer: w.StoreAnswer) -> None:
        word = {w.StoreLost: "lost", w.StoreReached: "back"}.get(type(answer))
        if word is not None and self.lost_or_back[-1:] != [word]:
            self.lost_or_back.append(word)


async def test_a_store_that_is_late_after_each_connect_is_told_as_lost_once() -> None:
    """It answers at once until a new connection has said all that it begins with: two words of `redis`, and ours."""
    store, told = LateStore(), Told()
    async with await asyncio.start_server(store.accepted, "127.0.0.1") as listening:
        port = listening.sockets[0].getsockname()[1]
        client = RedisStore(f"redis://127.0.0.1:{port}", "one", told, SHORTER)
        await eventually(lambda: told.lost_or_back == ["back"], "a store")
        store.prompt = 6
        await eventually(lambda: told.lost_or_back == ["back", "lost"], "its loss")
        before = store.connections
        await asyncio.sleep(10 * WITHIN)
        assert told.lost_or_back == ["back", "lost"]
        assert store.connections - before <= 2 * 7
        store.prompt = 1000
        await eventually(lambda: told.lost_or_back == ["back", "lost", "back"], "the store")
        await asyncio.sleep(3 * WITHIN)
        await client.close()
    assert told.lost_or_back == ["back", "lost", "back"]


_LONGER = 5 * WITHIN
"""Seconds for an answer: it has to be enough on a busy machine."""


class SlowStore(Store):
    """Answers each claim some time after the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []

    async def answer(self, command: bytes, connection: asyncio.StreamReader) -> bytes:
        self.said.append(command)
        if command == b"EVALSHA":
            await asyncio.sleep(_LONGER / 400)
            return b"*1\r\n:1\r\n"
        return await super().answer(command, connection)


async def test_a_store_that_all_clients_ask_at_once_is_not_late_and_keeps_the_lease() -> None:
    """They take three times as long as one answer may; those that the store has at a time, a twelfth on an idle host."""
    few = replace(SHORTER, store_within=_LONGER, store_asked=32)
    store, told, granted = SlowStore(), Told(), list[w.StoreAnswer]()
    card = w.Card(registers("host_b", "host_a", 0), "192.0.2.7")

    def answered(answer: w.StoreAnswer) -> None:
        told(answer)
        if isinstance(answer, w.Granted):
            granted.append(answer)

    async with await asyncio.start_server(store.accepted, "127.0.0.1") as listening:
        port = listening.sockets[0].getsockname()[1]
        client = RedisStore(f"redis://127.0.0.1:{port}", "one", answered, few)
        await eventually(lambda: told.lost_or_back == ["back"], "a store")
        for number in range(1, 1201):
            client.request(w.ClaimId(number, card))
        await eventually(lambda: len(granted) == 1200, "all claims")
        await client.close()
    assert told.lost_or_back == ["back"]
    assert [each.connection for each in granted if isinstance(each, w.Granted)] == [*range(1, 1201)]
    between = "".join("L" if word == b"SET" else "." for word in store.said)
    assert max(map(len, between.split("L"))) < 1200 / 2, "the lease was renewed meanwhile"


async def stopped(process: asyncio.subprocess.Process, client: Any, seconds: float) -> None:
    del client
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    process.send_signal(signal.SIGCONT)


async def paused(process: asyncio.subprocess.Process, client: Any, seconds: float) -> None:
    del process
    await client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "WRITE")
    await asyncio.sleep(seconds)


async def asleep(process: asyncio.subprocess.Process, client: Any, seconds: float) -> None:
    del process
    await client.execute_command("DEBUG", "SLEEP", seconds)


async def test_a_redis_that_answers_again_after_a_while_is_back() -> None:
    await asyncio.gather(*map(is_back_after, (stopped, paused, asleep)))


async def is_back_after(late: Late) -> None:
    at, told = unused(), Told()
    async with redis(at, "--enable-debug-command", "local") as process:
        store = RedisStore(f"redis://{at}", "one", told, SHORTER)
        await eventually(lambda: told.lost_or_back[-1:] == ["back"], "a store")
        told.lost_or_back = ["back"]  # it was not there at first
        async with from_url(f"redis://{at}") as client:
            await late(process, client, 8 * WITHIN)
        assert told.lost_or_back == ["back", "lost"]
        await eventually(lambda: told.lost_or_back == ["back", "lost", "back"], "the store")
        await asyncio.sleep(3 * WITHIN)
        assert told.lost_or_back == ["back", "lost", "back"]
        await store.close()


async def test_a_redis_that_stands_still_again_and_again_is_told_as_lost_once() -> None:
    at, told = unused(), Told()
    async with redis(at) as process:
        store = RedisStore(f"redis://{at}", "one", told, SHORTER)
        await eventually(lambda: told.lost_or_back[-1:] == ["back"], "a store")
        told.lost_or_back = ["back"]
        async with from_url(f"redis://{at}") as client:
            for _ in range(5):
                await stopped(process, client, 1.5 * WITHIN)
                await asyncio.sleep(0.6 * WITHIN)
        assert told.lost_or_back == ["back", "lost"]
        await eventually(lambda: told.lost_or_back == ["back", "lost", "back"], "the store")
        await store.close()
