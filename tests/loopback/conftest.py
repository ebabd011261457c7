"""Nothing may go wrong unseen: what asyncio would only log fails the test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest


@pytest.fixture(autouse=True)
async def nothing_raised_in_callbacks() -> AsyncIterator[None]:
    raised: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: raised.append(context))
    yield
    await asyncio.sleep(0)
    assert not raised


@pytest.fixture(autouse=True)
def local_sockets_in_a_folder_of_their_own(tmp_path: Path) -> Iterator[None]:
    """Commands of a test meet nobody else's, and a killed one leaves nothing on this host."""
    # not by `monkeypatch`, which has to undo what a test does before asyncio's fixtures end
    with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": str(tmp_path)}):
        yield
