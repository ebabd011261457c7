"""Programs' datagrams inside the frames of a cell whose clients wrote a key log. The lab opens nothing itself.

It asks the project's own program, a process as every other of a cell: so the lab needs no cryptography.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nat_traversal.wire.datagrams import Frame
from natlab.errors import LabError
from natlab.evidence.trace import Trace

OPENER = "nat_traversal.cli.opened"
NOT_OPENED = "-"
SHOWN_OCTETS = 24
_TIMEOUT = 30.0


def frames_of(trace: Trace) -> list[bytes]:
    """The frames with programs' datagrams that went from host to host, sealed."""
    data = (each.datagram for round_ in trace.rounds for each in round_.data)
    return [each.octets for each in data if isinstance(each, Frame)]


def payloads(frames: Sequence[bytes], key_log: Path) -> dict[bytes, str]:
    """Each frame that the log opens, and its programs' datagrams in words. Raises `LabError`."""
    if not key_log.exists():  # no path came to stand
        return {}
    argv = [sys.executable, "-m", OPENER, str(key_log)]
    asked = "".join(f"{frame.hex()}\n" for frame in frames)
    try:
        done = subprocess.run(
            argv,
            input=asked,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{key_log} opened no frames: {error}") from None
    if done.returncode != 0:
        raise LabError(f"{key_log} opened no frames: {done.stderr.strip()[-300:]}")
    return answered(frames, done.stdout.splitlines())


def answered(frames: Sequence[bytes], answers: Sequence[str]) -> dict[bytes, str]:
    """The answers of `OPENER`, one for each frame, in words."""
    pairs = zip(frames, answers, strict=True)
    return {
        frame: " + ".join(in_words(bytes.fromhex(each)) for each in answer.split(","))
        for frame, answer in pairs
        if answer != NOT_OPENED
    }


def in_words(payload: bytes) -> str:
    r"""Its size and its first octets, the unprintable ones escaped: ``4 octets "ab\x00c"``."""
    begin = payload[:SHOWN_OCTETS]
    shown = "".join(
        chr(octet) if 32 <= octet < 127 and octet not in b'"\\' else f"\\x{octet:02x}"
        for octet in begin
    )
    return f'{len(payload)} octets "{shown}"' + ("…" if len(payload) > len(begin) else "")
