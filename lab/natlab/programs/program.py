"""One ordinary program in a node of the lab: start it, wait for it, keep its output."""

from __future__ import annotations

import fcntl
import os
import re
import selectors
import shutil
import signal
import subprocess
import termios
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import IO, Literal

from natlab.errors import ProgramError
from natlab.programs.sockets import is_bound
from natlab.sandbox.threads import LabThread, in_words
from natlab.sandbox.zygote import Prepared

Stream = Literal["stdout", "stderr"]
_GRACE = 5.0
_POLL = 0.005
_REST = 9
"""So many times the processor's time for a question is the rest until the next one."""
_AT_A_TIME = 65536
_ROUND = 1 << 20
"""Octets that are taken from one stream before the other has its turn, and what came is seen."""
LONGEST_LINE = 1 << 20
"""Octets. A longer line comes as several."""
MOST_OUTPUT = 512 << 20
"""Octets of memory that the lines of one program may take, by a rough count (`_PER_LINE`)."""
_PER_LINE = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a program wrote. `at` is when it came, in seconds since 1970."""

    at: float
    stream: Stream
    text: str


Tell = Callable[[Line], None]


class Program:
    """A program that runs, or has run, in a node. Made by `Programs.start`."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        node_pid: int,
        directory: Path,
        environment: Mapping[str, str],
        *,
        interactive: bool = False,
        tell: Tell | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.node_pid = node_pid
        self.environment = environment
        self.paths: Mapping[Stream, Path] = {
            "stdout": directory / f"{name}.stdout",
            "stderr": directory / f"{name}.stderr",
        }
        if shutil.which(argv[0]) is None:
            raise ProgramError(f"{name}: there is no program {argv[0]} here; install it")
        try:
            self._files: dict[Stream, RawIOBase] = {
                stream: path.open("wb", 0) for stream, path in self.paths.items()
            }
        except OSError as error:
            raise ProgramError(
                f"{name}: cannot keep its output in {error.filename}: {error.strerror}"
            ) from None
        self._process: subprocess.Popen[bytes] | Prepared
        try:
            if prepared is not None:
                self._process = prepared.become(argv, node_pid, environment)
            else:
                self._process = subprocess.Popen(
                    ["mnexec", "-da", str(node_pid), *argv],
                    env=os.environ | environment,
                    stdin=subprocess.PIPE if interactive else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
        except OSError as error:
            raise ProgramError(f"{name}: cannot start mnexec: {error.strerror}") from None
        self.tell = tell
        self._trouble = ""
        self._taken = 0
        self._lines: list[Line] = []
        self._status: int | None = None
        self._changed = threading.Condition()
        self._reader = LabThread(self._read, self._reading_failed, f"read {name}")
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        with self._changed:
            return self._status

    def lines(self, stream: Stream | None = None) -> list[Line]:
        """Every line so far, of one stream or of both in the order in which they came."""
        with self._changed:
            return [line for line in self._lines if stream in {None, line.stream}]

    def wait_for_line(
        self, pattern: str, *, timeout: float, stream: Stream | None = None
    ) -> re.Match[str]:
        """The first match of the regular expression `pattern` in a line, past or to come.

        Raises `ProgramError` if the program ends without such a line or takes over `timeout` s.
        """
        wanted = re.compile(pattern)
        seen = 0

        def look() -> re.Match[str] | None:
            nonlocal seen
            for line in self._lines[seen:]:
                if stream in {None, line.stream} and (match := wanted.search(line.text)):
                    return match
            seen = len(self._lines)
            return None

        deadline = time.monotonic() + timeout
        with self._changed:
            while (match := look()) is None:
                left = deadline - time.monotonic()
                if self._status is not None or left <= 0:
                    raise self._error(f"a line like {pattern!r}", timeout)
                self._changed.wait(left)
        return match

    def wait_until(self, condition: Callable[[], bool], what: str, *, timeout: float) -> None:
        """Wait until `condition()` holds, asking often; `what` names it in the error.

        Raises `ProgramError` if the program ends first, or it takes over `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        asked = time.thread_time()
        while not condition():
            with self._changed:
                if self._status is not None or time.monotonic() > deadline:
                    raise self._error(what, timeout)
                # To ask takes milliseconds where the kernel looks through all sockets of the machine.
                self._changed.wait(max(_POLL, _REST * (time.thread_time() - asked)))
            asked = time.thread_time()

    def wait_until_bound(
        self, protocol: Literal["udp", "tcp"], port: int, *, timeout: float
    ) -> None:
        """Wait until a socket in the program's node is bound to (UDP) or listens on (TCP) `port`."""
        self.wait_until(
            lambda: is_bound(self.node_pid, protocol, port),
            f"{protocol} port {port} in use",
            timeout=timeout,
        )

    def wait(self, *, timeout: float) -> int:
        """The exit status, once it has ended and all it wrote is read.

        Raises `ProgramError` if it still runs after `timeout` seconds, or its output could not be read or
        kept.
        """
        status = self._ended_within(timeout)
        if status is None or self._trouble:
            raise self._error("its end", timeout)
        return status

    def send(self, text: str) -> None:
        """Write `text` to its stdin; it must have been started `interactive`.

        Raises `ProgramError` if it has no stdin, or does not read it any more.
        """
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            raise ProgramError(
                f"{self.name}: has no stdin: start it interactive, and do not close it"
            )
        try:
            pipe.write(text.encode(errors="surrogateescape"))
            pipe.flush()
        except OSError as error:
            raise ProgramError(f"{self.name}: cannot write to it: {error.strerror}") from None

    def close_stdin(self) -> None:
        """Let it read the end of its stdin. A second call does nothing."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def signal(self, number: int) -> None:
        """Send signal `number` to it and its children; nothing happens if they have ended."""
        try:
            os.killpg(self._process.pid, number)  # mnexec -d made it the leader of a group
        except ProcessLookupError:
            self._process.send_signal(number)

    def terminate(self, *, grace: float = _GRACE) -> int:
        """SIGTERM, and SIGKILL if it still runs `grace` seconds later. Returns the exit status."""
        self.close_stdin()
        self.signal(signal.SIGTERM)
        status = self._ended_within(grace)
        if status is None:
            self.signal(signal.SIGKILL)
            status = self._ended_within(None)
        assert status is not None
        return status

    def require_kept_output(self) -> None:
        """Raises `ProgramError` if what it wrote could not be read or kept, and it was killed for that."""
        if self._trouble:
            raise self._error("", 0)

    def _ended_within(self, timeout: float | None) -> int | None:
        """Not by joining the thread that reads: an interrupted join takes it for ended ever after."""
        with self._changed:
            self._changed.wait_for(lambda: self._status is not None, timeout)
            return self._status

    def _error(self, awaited: str, timeout: float) -> ProgramError:
        if self._trouble:
            fate = f"{self._trouble}; it was killed"
        elif self._status is None:
            fate = f"waited {timeout:g} s in vain for {awaited}"
        else:
            fate = f"ended with exit status {self._status} before {awaited}"
        said = "".join(f"\n  {line.text}" for line in self._lines[-5:])
        return ProgramError(f"{self.name}: {fate}; its last lines:{said or ' none'}")

    def _read(self) -> None:
        """Thread: copy both streams to their files and to lines, until the program has ended."""
        process = self._process
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            end = os.pidfd_open(process.pid)
            stack.callback(os.close, end)
            selector.register(end, selectors.EVENT_READ)
            outputs = []
            pipes: dict[Stream, IO[bytes] | None] = {
                "stdout": process.stdout,
                "stderr": process.stderr,
            }
            for stream, pipe in pipes.items():
                assert pipe is not None
                stack.enter_context(pipe)
                file = stack.enter_context(self._files[stream])
                os.set_blocking(pipe.fileno(), False)
                outputs.append(_Output(stream, pipe.fileno(), file))
                selector.register(pipe.fileno(), selectors.EVENT_READ, outputs[-1])
            ended = False
            while not ended:
                woken = [key.data for key, _ in selector.select()]
                ended = None in woken
                # The others too: what was written to one before the other must not be seen after it.
                ready = [each for each in woken if each is not None]
                ready += [each for each in outputs if each not in ready and not each.ended]
                for output in ready:
                    if not self._drain(output):
                        selector.unregister(output.pipe)
                self._add(ready)
            for output in outputs:  # what it wrote last may still be in the pipe
                if not output.ended:
                    self._drain(output, _unread(output.pipe))
                output.end_line()
            self._add(outputs)
        status = process.wait()
        with self._changed:
            self._status = status
            self._changed.notify_all()

    def _reading_failed(self, error: BaseException) -> None:
        """Thread: without its reader the program would be no evidence, and might wait for ever."""
        self._trouble = f"the lab failed to read its output ({in_words(error)})"
        self.signal(signal.SIGKILL)
        status = self._process.wait()
        with self._changed:
            self._status = status
            self._changed.notify_all()

    def _drain(self, output: _Output, most: int = _ROUND) -> bool:
        """Take what there is, up to `most` octets: children may write for ever. Returns False at the end."""
        while most > 0:
            try:
                data = os.read(output.pipe, min(most, _AT_A_TIME))
            except BlockingIOError:
                break
            if not data:
                output.ended = True
                return False
            most -= len(data)
            self._keep(output, data)
            if not self._trouble:
                output.take(data)
        return True

    def _keep(self, output: _Output, data: bytes) -> None:
        """A disk that is full ends the program, and so does memory: its output would be no evidence."""
        if self._trouble:
            return
        self._taken += len(data) + _PER_LINE * data.count(b"\n")
        if self._taken > MOST_OUTPUT:
            self._trouble = (
                f"wrote more than the {MOST_OUTPUT >> 20} MiB that the lab keeps of one program"
                f" (each line counts as {_PER_LINE} octets more than it has)"
            )
            self.signal(signal.SIGKILL)
            return
        try:
            while data:
                data = data[output.file.write(data) :]
        except OSError as error:
            self._trouble = f"cannot keep its {output.stream}: {error.strerror}"
            self.signal(signal.SIGKILL)

    def _add(self, outputs: Sequence[_Output]) -> None:
        """Let all that is fresh be seen at once, in this order."""
        now = time.time()
        added = [
            Line(now, output.stream, raw.decode(errors="replace"))
            for output in outputs
            for raw in output.fresh
        ]
        with self._changed:
            self._lines += added
            self._changed.notify_all()
        for output in outputs:
            output.fresh.clear()
        for line in added:
            if self.tell is not None:
                self.tell(line)


@dataclass(slots=True)
class _Output:
    stream: Stream
    pipe: int
    file: RawIOBase
    begun: list[bytes] = field(default_factory=list)
    """The line that has no end yet, as it came."""
    length: int = 0
    """Of what has begun."""
    fresh: list[bytes] = field(default_factory=list)
    """Whole lines that nobody could see yet."""
    ended: bool = False

    def take(self, data: bytes) -> None:
        """Add `data`. Each octet is looked at once, however long the lines are."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._begin(line)
            self.fresh.append(b"".join(self.begun))
            self.begun.clear()
            self.length = 0
        self._begin(rest)

    def end_line(self) -> None:
        """Take what has begun for a line: nothing follows."""
        if self.length:
            self.take(b"\n")

    def _begin(self, data: bytes) -> None:
        self.begun.append(data)
        self.length += len(data)
        if self.length > LONGEST_LINE:
            self.fresh.append(b"".join(self.begun))
            self.begun.clear()
            self.length = 0


def _unread(pipe: int) -> int:
    """How many octets wait in `pipe`."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]
