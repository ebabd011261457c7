"""Files that each node has for itself: ``/run``, ``/tmp``, ``/var/tmp`` and ``/dev/shm``.

Two daemons of one kind would meet there, by their pid files and sockets. Directories that are in
``/tmp`` and ``/var/tmp`` already stay shared, so that programs and their caller find each other's files.
"""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from natlab.errors import NetworkError
from natlab.sandbox.fork import forked
from natlab.sandbox.netns import enter_mounts

EMPTY = ("/run", "/dev/shm")  # noqa: S108 - made private here
WITH_SHARED = ("/tmp", "/var/tmp")  # noqa: S108 - made private here
"""A directory that is in one of these when the lab begins is the same for all nodes and the caller."""
_OUTSIDE = Path("/run/.outside")
_MS_BIND, _MS_REC, _MNT_DETACH = 4096, 16384, 2
_libc = ctypes.CDLL(None, use_errno=True)


def give_places(pids: Iterable[int]) -> None:
    """For the nodes whose namespaces these processes hold. This process must have a single thread.

    Raises `NetworkError` if the kernel refuses.
    """
    nodes = list(pids)
    read, write = os.pipe()
    child = forked(lambda: _give_all(nodes, write))
    os.close(write)
    with os.fdopen(read, "rb") as told:
        words = told.read().decode(errors="replace").strip()
    if os.waitpid(child, 0)[1] != 0:
        last = words.rpartition("\n")[2]
        raise NetworkError(f"cannot give each node a /run and a /tmp of its own: {last}")


def _give_all(nodes: list[int], told: int) -> int:
    """The forked process, which goes from node to node."""
    try:
        for _ in enter_mounts(nodes):
            for place in EMPTY:
                if Path(place).is_dir():
                    _mount(
                        "tmpfs", place, "tmpfs", 0, "mode=1777" if place != "/run" else "mode=755"
                    )
            _OUTSIDE.mkdir()
            for place in WITH_SHARED:
                if Path(place).is_dir() and not Path(place).is_symlink():
                    _with_shared(place)
            _OUTSIDE.rmdir()
    except OSError:
        os.write(told, traceback.format_exc().encode())
        return 1
    return 0


def _with_shared(place: str) -> None:
    _mount(place, str(_OUTSIDE), None, _MS_BIND | _MS_REC)
    _mount("tmpfs", place, "tmpfs", 0, "mode=1777")
    for shared in _directories(_OUTSIDE):
        target = Path(place, shared.name)
        target.mkdir()
        with suppress(OSError):  # another user's, who mounted something that nobody else may see
            _mount(str(shared), str(target), None, _MS_BIND | _MS_REC)
    if _libc.umount2(os.fsencode(_OUTSIDE), _MNT_DETACH) != 0:
        raise _error(str(_OUTSIDE))


def _directories(place: Path) -> Iterator[Path]:
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield place / entry.name


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    words = os.fsencode(source), os.fsencode(target), kind and os.fsencode(kind)
    if _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)) != 0:
        raise _error(target)


def _error(target: str) -> OSError:
    errno = ctypes.get_errno()
    return OSError(errno, os.strerror(errno), target)
