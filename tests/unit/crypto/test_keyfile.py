"""Keys as text: what is taken, and what is refused in one line that repeats no secret."""

from __future__ import annotations

import pytest

from nat_traversal.crypto.keyfile import (
    IDENTITY,
    PUBLIC,
    SHARED,
    as_text,
    check_mode,
    parse_key,
    parse_known_peers,
)
from nat_traversal.errors import UsageError

KEY = bytes(range(32))


@pytest.mark.parametrize("kind", [SHARED, IDENTITY, PUBLIC])
def test_a_key_survives_its_text(kind: str) -> None:
    assert parse_key(kind, as_text(kind, KEY) + "\n", "file") == KEY


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no such key"),
        ("correct horse battery staple", "no such key"),
        ("nt-shared-1:c2VjcmV0", "no such key"),
        ("nt-shared-1:" + "!" * 44, "no such key"),
        (as_text(SHARED, KEY)[len(SHARED) :], "no such key"),
        (as_text(IDENTITY, KEY), "another kind of key"),
        (as_text(SHARED, KEY) * 2, "no such key"),
    ],
)
def test_nothing_else_is_a_shared_key(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"psk.txt: {complaint}.*nat-traversal genkey") as error:
        parse_key(SHARED, text, "psk.txt")
    assert not text or text not in str(error.value)


@pytest.mark.parametrize("mode", [0o100640, 0o100604, 0o100644])
def test_a_secret_that_others_can_read_is_refused(mode: int) -> None:
    check_mode(0o100600, "file")
    with pytest.raises(UsageError, match="chmod 600 file"):
        check_mode(mode, "file")


def test_known_peers_have_a_line_each() -> None:
    line = as_text(PUBLIC, KEY)
    assert parse_known_peers(f"# friends\n\nhost_b {line}  # Bea\n", "known") == {"host_b": KEY}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("host_b", "known, line 1: write an id"),
        ("\nhost_b nt-public-1:short", "known, line 2: no such key"),
        (f"-b {as_text(PUBLIC, KEY)}", "known, line 1: '-b' cannot be an id"),
        (f"b {as_text(PUBLIC, KEY)}\nb {as_text(PUBLIC, KEY)}", "line 2: b stands there twice"),
    ],
)
def test_a_wrong_line_is_told_by_its_number(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_known_peers(text, "known")
