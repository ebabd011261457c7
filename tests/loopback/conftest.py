"""Nothing may go wrong unseen: what asyncio would only log fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
async def nothing_raised_in_callbacks() -> AsyncIterator[None]:
    raised: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: raised.append(context))
    yield
    await asyncio.sleep(0)
    assert not raised
