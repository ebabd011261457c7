"""A program on a host of a standing lab, used from outside its sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from natlab.programs.readiness import bound_port, regular_expression
from natlab.sandbox.sandbox import Sandbox
from natlab.testbed import worker

if TYPE_CHECKING:
    from natlab.programs.program import Line, Stream

__tracebackhide__ = True  # pytest: the report of a failed test shows the test's frames
P = ParamSpec("P")
T = TypeVar("T")
ANSWER_MARGIN = 15.0
"""Seconds that the sandbox has for an answer beyond those that it was told to wait."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended and what it said."""

    status: int
    """Its exit status; negative if a signal ended it."""
    stdout: str
    stderr: str


class LabProgram:
    """A program on a host of a standing lab. Made by `NatLab.start`. Times are in seconds."""

    def __init__(self, box: Sandbox, name: str, node: str, directory: Path) -> None:
        self._box = box
        self.name = name
        self.node = node
        self.paths: Mapping[Stream, Path] = {
            "stdout": directory / f"{name}.stdout",
            "stderr": directory / f"{name}.stderr",
        }
        """The files in which its output is kept."""

    def wait_for_line(
        self, pattern: str, *, timeout: float = 20.0, stream: Stream | None = None
    ) -> re.Match[str]:
        """The first match of the regular expression `pattern` in a line, past or to come.

        Raises `ProgramError` if it ends without such a line, or it takes over `timeout`; `UsageError` if
        `pattern` is no regular expression.
        """
        regular_expression(pattern)
        found = self._ask(timeout, worker.wait_for_line, self.name, pattern, timeout, stream)
        match = re.search(pattern, found)
        assert match is not None
        return match

    def wait_until_ready(self, ready: str, *, timeout: float = 20.0) -> None:
        """Wait until ``udp:PORT`` is bound or ``tcp:PORT`` listened on, or else for a line like `ready`.

        Raises `ProgramError` if it ends before, or it takes over `timeout`; `UsageError` for a port that
        cannot be.
        """
        port = bound_port(ready)
        if port is None:
            self.wait_for_line(ready, timeout=timeout)
            return
        asked = (self.name, port.protocol, port.number, timeout)
        self._ask(timeout, worker.wait_until_bound, *asked)

    def wait(self, *, timeout: float = 20.0) -> int:
        """Its exit status, negative if a signal ended it. Raises `ProgramError` if it goes on."""
        return self._ask(timeout, worker.wait_for_end, self.name, timeout)

    def status_within(self, timeout: float) -> int | None:
        """Its exit status, or None if it still runs after `timeout`."""
        return self._ask(timeout, worker.status_within, self.name, timeout)

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._ask(0, worker.exit_status, self.name)

    def lines(self, stream: Stream | None = None) -> list[Line]:
        """Every line so far, of one stream or of both in the order in which they came."""
        return self._ask(0, worker.lines, self.name, stream)

    def send(self, text: str) -> None:
        """Write to its stdin. Raises `ProgramError` if it was not started `interactive`, or is gone."""
        self._ask(0, worker.send, self.name, text)

    def close_stdin(self) -> None:
        """Let it read the end of its stdin."""
        self._ask(0, worker.close_stdin, self.name)

    def signal(self, number: int) -> None:
        """Send it a signal, as SIGKILL or SIGSTOP; nothing happens if it has ended."""
        self._ask(0, worker.send_signal, self.name, number)

    def terminate(self) -> int:
        """SIGTERM, and SIGKILL if that does not help. Returns the exit status."""
        return self._ask(0, worker.terminate, self.name)

    def _ask(
        self, timeout: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return self._box.call(timeout + ANSWER_MARGIN, function, *args, **kwargs)
