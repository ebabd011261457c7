"""What people read of a datagram that did not leave this host."""

from __future__ import annotations

import errno
import os

import pytest

from nat_traversal.aio.soft_errors import not_sent


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "a firewall of this host forbids it"),
        (errno.EMSGSIZE, "Message too long (1500 octets)"),
        (errno.ENETUNREACH, "Network is unreachable"),
    ],
)
def test_the_reason_is_in_words(number: int, words: str) -> None:
    assert not_sent(OSError(number, os.strerror(number)), 1500) == words
