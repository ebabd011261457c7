"""The answer of a call in a sandbox: a value, or the error to be raised again."""

from __future__ import annotations

from dataclasses import dataclass

__tracebackhide__ = True  # pytest: the report of a failed test shows the test's frames


@dataclass(frozen=True, slots=True)
class Raised:
    """Instead of a value."""

    error: Exception


def unpacked(answer: object) -> object:
    """The value, or its error raised."""
    if isinstance(answer, Raised):
        raise answer.error
    return answer
