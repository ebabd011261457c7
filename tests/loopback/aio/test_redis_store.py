"""The connections to a real Redis end when they are asked to, whatever they do at that moment."""

from __future__ import annotations

import asyncio

from nat_traversal.aio.redis_store import RedisStore
from nat_traversal.server.cluster import words as w
from tests.loopback.cli.test_store import redis
from tests.loopback.support import eventually, unused


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
