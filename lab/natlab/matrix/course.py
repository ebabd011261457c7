"""A cell while it runs: the place of its files, the time that it has taken, and what it says of its stages."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from natlab.errors import LabError


class Course:
    """Begins now. `verbose`: tell each stage on stderr, with the seconds since."""

    def __init__(self, directory: Path, *, verbose: bool) -> None:
        self._directory = directory
        self._is_verbose = verbose
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began, rounded for a report."""
        return round(time.monotonic() - self._began, 3)

    def make_directory(self) -> None:
        """The one for its files. Raises `LabError` if that cannot be."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self._directory, error) from None

    def say(self, text: str) -> None:
        """A stage has come."""
        if self._is_verbose:
            elapsed = time.monotonic() - self._began
            print(f"{elapsed:7.3f} s  {text}", file=sys.stderr, flush=True)


def unwritable(path: Path, error: OSError) -> LabError:
    """A file or directory of the cell that cannot be written."""
    return LabError(f"cannot write to {path}: {error.strerror}")
