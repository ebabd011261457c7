"""Builds the distributions from a copy of the checkout, and installs them where nothing else of it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT

_NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "lab-report"
)

_BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"
"""What a build frontend does in a checkout; pip would take longer than the build."""


@dataclass(frozen=True, slots=True)
class Built:
    """The two files that a release consists of; the wheel is made from the sdist alone."""

    sdist: Path
    wheel: Path


def build_wheel(directory: Path) -> Path:
    """Build the wheel in `directory` from the checkout; `build` proves that the sdist has all of it."""
    copy = _copied(directory)
    _run([sys.executable, "-c", _BUILD.format("wheel"), str(directory)], cwd=copy)
    (wheel,) = directory.glob("*.whl")
    return wheel


def build(directory: Path) -> Built:
    """Build both in `directory`, with the setuptools of this environment and without a network."""
    copy = _copied(directory)
    _run([sys.executable, "-c", _BUILD.format("sdist"), str(directory)], cwd=copy)
    (sdist,) = directory.glob("*.tar.gz")
    unpacked = directory / "unpacked"
    unpacked.mkdir()
    # Python's own needs a filter from 3.14 on, and knows none before 3.11.4
    _run(["tar", "-xf", str(sdist)], cwd=unpacked)
    (source,) = unpacked.iterdir()
    _run([sys.executable, "-c", _BUILD.format("wheel"), str(directory)], cwd=source)
    (found,) = directory.glob("*.whl")
    return Built(sdist, found)


def _copied(directory: Path) -> Path:
    copy = directory / "checkout"
    shutil.copytree(ROOT, copy, ignore=_NOT_COPIED)
    return copy


def install(wheel: Path, directory: Path) -> Path:
    """A new environment with `wheel` and this environment's packages, but nothing of this checkout.

    Returns its ``python``.
    """
    _run([sys.executable, "-m", "venv", "--without-pip", str(directory)], cwd=directory.parent)
    python = directory / "bin" / "python"
    ours = Path(sysconfig.get_path("purelib"))
    theirs = directory / ours.relative_to(sys.prefix)
    for entry in ours.iterdir():
        if not entry.name.startswith(("nat_traversal", "__editable__")):
            (theirs / entry.name).symlink_to(entry)
    # Few of its modules are read here, and Python compiles these itself.
    _run(pip(python, "install", "--no-deps", "--no-index", "--no-compile", str(wheel)), cwd=ROOT)
    return python


def pip(python: Path, *arguments: str) -> list[str]:
    """The pip that `install` lends that environment. `--python` would start two."""
    # --isolated: without the machine's configuration
    return [str(python), "-m", "pip", "--isolated", "--disable-pip-version-check", *arguments]


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
