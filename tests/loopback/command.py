"""One command of this package as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.loopback import warm
from tests.loopback.support import DEADLINE, N

CHECKOUT = ROOT


def _undated(line: str) -> str:
    """A line of a log file without its time."""
    return re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} ", "", line.rstrip())


class Command:
    """One command of this package as a process of its own. Use it as a context manager."""

    def __init__(self, process: asyncio.subprocess.Process | warm.Process) -> None:
        self.process = process
        self.told: list[str] = []
        self.events: list[dict[str, Any]] = []

    @classmethod
    @asynccontextmanager
    async def run(
        cls,
        *words: str,
        cold: bool = False,
        before: str = "",
        typed: str | None = None,
        **environment: str,
    ) -> AsyncIterator[Command]:
        """Run `words` in the checkout, where `python3` is the interpreter of the tests.

        A script of the checkout or `nat-traversal` starts warm, unless it is `cold` or the test asks Python for more
        than that. `before`: what the process does first, if it starts warm (`tests.loopback.beforehand`). `typed` is
        on its stdin.
        """
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        everything = {**os.environ, "PATH": path, **environment}
        module = None if cold else warm.module_of(words)
        if before:
            assert module is not None, f"{words} do not start warm"
            module = (*warm.BEFOREHAND, before, *module)
        process: asyncio.subprocess.Process | warm.Process
        if module is not None and "PYTHONPATH" not in environment:
            process = await warm.Process.start(*module, environment=everything, typed=typed)
        else:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=CHECKOUT,
                env=everything,
                stdin=asyncio.subprocess.DEVNULL if typed is None else PIPE,
                stdout=PIPE,
                stderr=PIPE,
            )
            if typed is not None:
                assert process.stdin is not None
                process.stdin.write(typed.encode())
                process.stdin.close()
        command = cls(process)
        try:
            yield command
        finally:
            if process.returncode is None:
                process.kill()
            await command.end()

    async def line(self, text: str) -> str:
        """The next line on stderr with `text` in it."""
        assert self.process.stderr is not None
        await self._read(self.process.stderr, self.told, lambda line: text in line, _undated)
        return self.told[-1]

    async def event(self, name: str) -> dict[str, Any]:
        """The next JSON event of that name."""
        assert self.process.stdout is not None
        await self._read(
            self.process.stdout, self.events, lambda event: event["event"] == name, json.loads
        )
        return self.events[-1]

    async def _read(
        self,
        stream: asyncio.StreamReader,
        kept: list[N],
        wanted: Callable[[N], bool],
        parse: Callable[[str], N],
    ) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                while raw := await stream.readline():
                    kept.append(parse(raw.decode()))
                    if wanted(kept[-1]):
                        return
        except TimeoutError:
            raise AssertionError(f"it runs, but has told only {kept}") from None
        raise AssertionError(f"it has ended, and told only {kept}")

    async def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and return the exit status once all output is read."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(DEADLINE):
            out, err = await self.process.communicate()
        self.events += [json.loads(line) for line in (out or b"").splitlines()]
        self.told += map(_undated, err.decode().splitlines())
        assert self.process.returncode is not None
        return self.process.returncode
