"""Bundles as a peer makes them: what is sealed in each of their frames."""

from __future__ import annotations

from collections.abc import Sequence

from nat_traversal.paths.bundles import Bundler

Datagram = tuple[int, int, bytes]
"""Direction, flow, payload."""


def bundled(datagrams: Sequence[Datagram], content: int) -> list[bytes]:
    """All in one bundle, whose frames have `content` octets of it."""
    bundler = Bundler()
    bundler.begin(content, 1 << 16)
    for direction, flow, payload in datagrams:
        assert bundler.add(direction, flow, memoryview(payload)), (
            "it is longer than a bundle may be"
        )
    carried, run = bundler.taken()
    return [head + bytes(part) for head, part in zip(carried, run.parts(), strict=True)]
