"""A cell with `--key-log`: the ladder shows the datagrams in its frames. Without, nothing opens them."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from natlab.matrix.jobs import CellJob
from natlab.testbed.files import KEYS_FILE
from tests.lab import warm

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("key_log", [True, False])
def test_the_ladder_shows_datagrams_only_with_the_clients_keys(
    key_log: bool, tmp_path: Path
) -> None:
    from natlab.matrix.cell import run_cell  # noqa: PLC0415 - it reads Mininet

    job = CellJob("full-cone", "port-restricted-cone", tmp_path, key_log=key_log)
    earlier = tmp_path / KEYS_FILE
    earlier.write_text("of an earlier run, for everybody\n")
    earlier.chmod(0o644)
    cell = warm.call(job.timeout, run_cell, job)
    assert cell.ok, cell
    data = [each for each in cell.packets if each.kind == "DATA"]
    assert {each.sender for each in data} == {"host_a", "host_b"}
    payloads = [each.payload for each in data]
    if not key_log:
        assert set(payloads) == {None}
        assert not earlier.exists()
        return
    assert stat.S_IMODE(earlier.stat().st_mode) == 0o600
    # Each host's first datagram is a question of dig, or an answer to the other's.
    assert all(text is not None and r"\x05where\x03lab" in text for text in payloads), payloads
