"""The connections to a real Redis end when they are asked to, whatever they do at that moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from redis.asyncio import from_url

from nat_traversal import ServerSettings
from nat_traversal.aio.redis_store import RedisStore
from nat_traversal.server.cluster import words as w
from nat_traversal.wire.endpoint import Endpoint
from tests.loopback.aio.store_times import SHORTER, WITHIN
from tests.loopback.cli.test_store import redis
from tests.loopback.support import eventually, unused
from tests.unit.server.test_guests import registers


async def test_store_that_is_closed_while_it_writes_leaves_no_task() -> None:
    at = unused()
    async with redis(at):
        for turns in range(30):
            reached = asyncio.Event()

            def told(answer: w.StoreAnswer, reached: asyncio.Event = reached) -> None:
                if isinstance(answer, w.StoreReached):
                    reached.set()

            before = asyncio.all_tasks()
            store = RedisStore(f"redis://{at}", f"server {turns}", told)
            await eventually(reached.is_set, "it is reached")
            for number in range(turns % 3):
                store.request(w.ReleaseId(f"host_{number}"))
            for _ in range(turns % 5):
                await asyncio.sleep(0)
            await store.close()
            assert asyncio.all_tasks() == before


async def test_a_lease_that_is_given_back_is_not_renewed() -> None:
    all_the_time = ServerSettings(store_renew=0.0)
    at = unused()
    async with redis(at), from_url(f"redis://{at}") as client:
        for turn in range(20):
            told: list[w.StoreAnswer] = []
            store = RedisStore(f"redis://{at}", f"server {turn}", told.append, all_the_time)
            await eventually(lambda: _is_reached(told), "the store")  # noqa: B023
            await store.close()
            assert await client.keys("*") == []


def _is_reached(told: list[w.StoreAnswer]) -> bool:
    return any(isinstance(each, w.StoreReached) for each in told)


class Between:
    """Connections to the store, each of which can be left without a word, as a NAT does that forgets it."""

    def __init__(self, store: Endpoint) -> None:
        self._store = store
        self._made = 0
        self.cut: set[int] = set()
        """By their numbers, from 0."""

    async def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self._made
        self._made += 1
        try:
            other_reader, other_writer = await asyncio.open_connection(*self._store.sockaddr)
        except OSError:  # it is not there yet
            self._made = 0
            writer.close()
            return
        pumps = [
            asyncio.ensure_future(self._pump(number, reader, other_writer)),
            asyncio.ensure_future(self._pump(number, other_reader, writer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for each in (writer, other_writer):
            each.close()

    async def _pump(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if number not in self.cut:
                    writer.write(data)


@pytest.mark.parametrize("cut", [{0}, {1}])
async def test_a_connection_to_the_store_that_says_nothing_more_is_made_anew(cut: set[int]) -> None:
    store, told = unused(), list[w.StoreAnswer]()
    between = Between(store)
    async with redis(store), await asyncio.start_server(between.accepted, "127.0.0.1") as proxy:
        at = Endpoint(*proxy.sockets[0].getsockname())
        one = RedisStore(f"redis://{at}", "one", told.append, SHORTER)
        await eventually(lambda: any(isinstance(each, w.StoreReached) for each in told), "a store")
        await asyncio.sleep(1.5 * WITHIN)
        assert len([each for each in told if isinstance(each, w.StoreReached)]) == 1
        between.cut = cut
        await eventually(lambda: isinstance(told[-1], w.StoreLost), "its loss")
        between.cut = set()
        await eventually(lambda: isinstance(told[-1], w.StoreReached), "the store")
        other = RedisStore(f"redis://{store}", "other", lambda _: None, SHORTER)
        signal = w.Gone(7)
        await eventually(lambda: _said(other, signal) or told[-1] == w.Heard("other", signal), "it")
        await one.close()
        await other.close()


def _said(store: RedisStore, signal: w.Signal) -> bool:
    store.request(w.Send("one", signal))
    return False


@pytest.mark.parametrize("row", [{"card": "{}"}, {"connection": "x"}, {"card": "\xff"}])
async def test_a_row_that_no_server_of_this_version_wrote_costs_its_own_pair_alone(
    row: Mapping[Any, Any],
) -> None:
    at, told = unused(), list[w.StoreAnswer]()
    async with redis(at):
        store = RedisStore(f"redis://{at}", "one", told.append)
        await eventually(lambda: any(isinstance(each, w.StoreReached) for each in told), "a store")
        told.clear()
        card = w.Card(registers("host_b", "host_a", 0), "192.0.2.7")
        store.request(w.ClaimId(3, card))
        await eventually(lambda: told[-1:] == [w.Granted(3, "host_b", None)], "the id")
        client = from_url(f"redis://{at}")
        await client.hset("nat-traversal:id:host_b", mapping=row)
        await client.aclose()
        wish = w.Card(registers("host_a", "host_b", 0), "192.0.2.8")
        store.request(w.ClaimId(4, wish))
        await eventually(lambda: told[-1] == w.Granted(4, "host_a", None), "the id of the other")
        store.request(w.ClaimId(3, card))
        expected = w.Granted(3, "host_b", w.Found("one", 4, wish))
        await eventually(lambda: told[-1] == expected, "the row is right again")
        assert not [each for each in told if isinstance(each, w.StoreLost)]
        await store.close()
