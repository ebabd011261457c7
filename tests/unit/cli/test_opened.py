"""Programs' datagrams in frames, opened with a key log: `nat_traversal.cli.opened`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from nat_traversal.aio.outbox import FLOW
from nat_traversal.cli.opened import NOT_OPENED, main, opened
from nat_traversal.crypto.key_log import as_line
from nat_traversal.crypto.seal import sealer
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.offers import Suite
from tests.unit.bundled import bundled

KEY = bytes(range(32))
LOG = [as_line(b"conn", Suite.AES_256_GCM, KEY)]


def sealed(kind: Kind, content: bytes, counter: int = 0) -> str:
    """A frame in hexadecimal, laid out as `docs/protocol.md` says."""
    head = bytes([kind]) + b"conn" + counter.to_bytes(6, "big")
    nonce = bytes([kind]) + bytes(5) + counter.to_bytes(6, "big")
    place = bytearray(len(content) + 16)
    sealer(Suite.AES_256_GCM, KEY)(nonce, content, None, memoryview(place))
    return (head + place).hex()


DATAGRAM = sealed(Kind.DATA, FLOW.pack(1, 7) + b"of a program")


def test_each_frame_has_its_answer_and_only_whole_datagrams_are_shown() -> None:
    frames = [
        DATAGRAM,
        sealed(Kind.DATA, FLOW.pack(1, 7)),
        sealed(Kind.DATA, b"abc"),
        sealed(Kind.PING, FLOW.pack(1, 7) + b"of no program"),
    ]
    assert list(opened(frames, LOG)) == [b"of a program".hex(), "", NOT_OPENED, NOT_OPENED]


def test_a_datagram_in_several_frames_is_shown_with_the_last_of_them() -> None:
    plains = bundled([(1, 7, b"one"), (1, 8, b""), (1, 7, b"long" * 9)], 20)
    frames = [sealed(Kind.BUNDLE, plain, 255 + index) for index, plain in enumerate(plains)]
    shown = [f"{b'one'.hex()},", NOT_OPENED, NOT_OPENED, (b"long" * 9).hex()]
    assert list(opened([frames[0], *frames], LOG)) == shown, "the first was captured twice"


def test_without_its_key_a_frame_stays_closed() -> None:
    other = as_line(b"conn", Suite.AES_256_GCM, bytes(32))
    assert list(opened([DATAGRAM], [])) == [NOT_OPENED]
    assert list(opened([DATAGRAM], [other])) == [NOT_OPENED]


def test_the_command_reads_frames_and_answers_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.log"
    file.write_text("\n".join(LOG))
    monkeypatch.setattr(sys, "argv", ["opened", str(file)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{DATAGRAM}\n{'00' * 40}\n"))
    assert main() == 0
    assert capsys.readouterr().out.splitlines() == [b"of a program".hex(), NOT_OPENED]
