"""The directory of a report: the lab's own from the first file to the last, and nobody else's.

A mark in it says so, and, once a run has ended, names every file that the run has left. A later run
removes these and nothing else, so none of them is taken for its own. A directory in it that has a mark is a
report of its own, and no part of this one.
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
def own_directory(directory: Path, *, shared: bool = False) -> Iterator[None]:
    """Make `directory`, or empty it of an earlier run's files; at the end of the block, name the new ones.

    Raises `LabError` if it cannot be written, or holds a file that no run of the lab has left there; with
    `shared` only if that has a name which the lab uses itself. Then everything stays as it is.
    """
    try:
        foreign = _claim(directory, shared=shared)
    except OSError as error:
        raise LabError(f"cannot write the report to {directory}: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):  # without room the names are left to `_OURS`
            _name_all(directory, foreign)


def discard(directory: Path) -> None:
    """Remove what the lab has left in `directory`, and the directory if nothing else is in it.

    Raises `LabError` as `own_directory` does for a shared one.
    """
    with own_directory(directory, shared=True):
        pass
    with suppress(OSError):  # somebody else's file is in it
        (directory / MARK).unlink()
        directory.rmdir()


def _claim(directory: Path, *, shared: bool) -> set[str]:
    """Returns what is there of others."""
    directory.mkdir(parents=True, exist_ok=True)
    mark = directory / MARK
    found = _files(directory)
    if mark.is_symlink():
        found.add(MARK)
    foreign = found - _named(mark, found)
    in_the_way = {name for name in foreign if not shared or name == MARK or _OURS.fullmatch(name)}
    if in_the_way:
        raise LabError(
            f"{directory} holds {min(in_the_way)}, which no earlier report has left there: name another"
            " directory"
        )
    for name in found - foreign:
        (directory / name).unlink()
    for parent in {(directory / name).parent for name in found - foreign} - {directory}:
        with suppress(OSError):  # a directory in it stays, and so does this
            parent.rmdir()
    mark.write_text("", encoding="utf-8")
    return foreign


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


def _name_all(directory: Path, foreign: set[str]) -> None:
    # In hexadecimal: a name on Linux is any octets, and the file is text.
    names = sorted(os.fsencode(name).hex() for name in _files(directory) - foreign)
    (directory / MARK).write_text(json.dumps(names) + "\n", encoding="utf-8")


def _files(directory: Path) -> set[str]:
    """Everything but directories and the mark, links among it, relative to `directory`."""
    found = set()
    for where, inner, names in os.walk(directory):
        inner[:] = [name for name in inner if not _is_a_report(Path(where) / name)]
        links = [name for name in inner if (Path(where) / name).is_symlink()]
        found |= {str((Path(where) / name).relative_to(directory)) for name in (*names, *links)}
    return found - {MARK}


def _is_a_report(path: Path) -> bool:
    """A report of its own, not where this one puts a cell."""
    return "--" not in path.name and not path.is_symlink() and (path / MARK).exists()
