"""Marks for tests of what Linux alone has: elsewhere, and in `make test-plain`, they are skipped by name."""

from __future__ import annotations

import pytest

from nat_traversal.aio.features import LINUX

linux_only = pytest.mark.skipif(not LINUX, reason="takes what Linux alone has")
