"""The file of `--key-log`: what becomes of keys that it does not take."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nat_traversal.cli.key_log import key_log
from nat_traversal.wire.offers import Suite


def test_a_key_that_the_disk_has_no_room_for_is_told_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "keys"
    tell = key_log(str(file))
    assert tell is not None
    monkeypatch.setattr(os, "write", full)
    caplog.clear()
    tell(bytes(8), Suite.AES_256_GCM, bytes(32))
    assert [each.getMessage() for each in caplog.records] == [
        f"--key-log {file}: No space left on device"
    ]
    monkeypatch.undo()
    tell(bytes(8), Suite.AES_256_GCM, bytes(32))
    assert len(file.read_text().splitlines()) == 1
