"""Numbers that count from 1 to a greatest one and then go round: which of two is the later (as in RFC 1982). Pure."""

from __future__ import annotations


def is_later(number: int, before: int, most: int) -> bool:
    """Whether `number` came after `before`, of those from 1 to `most`. 0 stands for none, and is before all."""
    if not (number and before):
        return number > before
    return 0 < (number - before) % most < most // 2
