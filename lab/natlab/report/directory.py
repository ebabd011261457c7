"""The directory of a report: the lab's own from the first file to the last, and nobody else's.

A mark in it says so, and, once a run has ended, names every file that the run has left. A later run
removes these and nothing else, so none of them is taken for its own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from natlab.errors import LabError

MARK = ".nat-lab-report"
_OURS = re.compile(
    r"([\w.+-]+--[\w.+-]+/)?"
    r"(report\.json(\.part)?|index\.html|junit\.xml|summary\.md|capture\.pcapng|ladder\.txt|probes\.txt"
    r"|links\.txt|[\w.-]+\.(rules|stdout|stderr))"
)
"""Files of a run that was killed before it could name them."""


@contextmanager
def own_directory(directory: Path) -> Iterator[None]:
    """Make `directory`, or empty it of an earlier run's files; at the end of the block, name the new ones.

    Raises `LabError` if it cannot be written, or holds a file that no run of the lab has left there.
    Then everything stays as it is.
    """
    try:
        _claim(directory)
    except OSError as error:
        raise LabError(f"cannot write the report to {directory}: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):  # without room the names are left to `_OURS`
            _name_all(directory)


def _claim(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    mark = directory / MARK
    found = _files(directory)
    if mark.is_symlink():
        found.add(MARK)
    foreign = sorted(found - _named(mark, found))
    if foreign:
        raise LabError(
            f"{directory} holds {foreign[0]}, which no earlier report has left there: name another"
            " directory with --report"
        )
    for name in found:
        (directory / name).unlink()
    for parent in {(directory / name).parent for name in found} - {directory}:
        with suppress(OSError):  # a directory in it stays, and so does this
            parent.rmdir()
    mark.write_text("", encoding="utf-8")


def _named(mark: Path, found: set[str]) -> set[str]:
    """Those of `found` that an earlier run has left."""
    try:
        text = mark.read_text(encoding="utf-8", errors="replace") if not mark.is_symlink() else None
    except FileNotFoundError:
        text = None
    if text is None:
        return set()
    if not text:
        return {name for name in found if _OURS.fullmatch(name)}
    try:
        return {os.fsdecode(bytes.fromhex(name)) for name in json.loads(text)}
    except (ValueError, TypeError):
        return set()


def _name_all(directory: Path) -> None:
    # In hexadecimal: a name on Linux is any octets, and the file is text.
    names = sorted(os.fsencode(name).hex() for name in _files(directory))
    (directory / MARK).write_text(json.dumps(names) + "\n", encoding="utf-8")


def _files(directory: Path) -> set[str]:
    """Everything but directories and the mark, links among it, relative to `directory`."""
    found = set()
    for where, inner, names in os.walk(directory):
        links = [name for name in inner if (Path(where) / name).is_symlink()]
        found |= {str((Path(where) / name).relative_to(directory)) for name in (*names, *links)}
    return found - {MARK}
