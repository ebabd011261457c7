"""A client of the store whose times are shorter: for an answer, and all others by the same factor."""

from __future__ import annotations

import pytest

from nat_traversal.aio import redis_store
from nat_traversal.server.cluster import trust

WITHIN = 0.4
"""Seconds for an answer."""


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    factor = WITHIN / redis_store.ANSWER_WITHIN
    for module, names in (
        (redis_store, ("ANSWER_WITHIN", "RENEWED_EVERY", "LEASE")),
        (trust, ("AGAIN", "MOST_AGAIN", "FIRST_TRIAL", "MOST_TRIAL")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) * factor)
