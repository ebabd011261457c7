"""Keys as lines: with them the frames of a path open, of each epoch, and no others."""

from __future__ import annotations

import pytest

from nat_traversal.crypto.key_log import LABEL, KnownKeys, as_line
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.offers import Suite
from tests.unit.crypto.test_epochs import ends


@pytest.mark.parametrize("suite", [Suite.AES_256_GCM, Suite.CHACHA20_POLY1305])
def test_frames_of_both_directions_and_of_later_epochs_open_with_the_log(suite: Suite) -> None:
    lines: list[str] = []
    ours, theirs = ends(suite)
    ours.log_keys(lambda *key: lines.append(as_line(*key)))
    sealed = [ours.sealer.seal(Kind.DATA, b"there"), theirs.sealer.seal(Kind.PING, b"back")]
    (asked,) = ours.due(60.0)
    (answer,) = theirs.control(asked, 60.1)
    ours.control(answer, 60.2)
    assert ours.epoch == 1
    sealed.append(ours.sealer.seal(Kind.DATA, b"later"))
    known = KnownKeys(["# of another program", *lines])
    assert [known.open(frame) for frame in sealed] == [b"there", b"back", b"later"]
    changed = sealed[0][:-1] + bytes([sealed[0][-1] ^ 1])
    assert [known.open(frame) for frame in (changed, sealed[0][:9], b"")] == [None] * 3
    assert KnownKeys(lines[:2]).open(sealed[2]) is None
    assert [line for line in lines if not line.startswith(LABEL)] == []


def test_frames_that_are_not_sealed_need_no_key() -> None:
    assert (
        KnownKeys([as_line(b"conn", Suite.NONE, bytes(32))]).open(b"\xc7conn" + bytes(40)) is None
    )
