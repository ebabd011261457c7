"""The rivals: what each is, how its version is read, and what was chosen for it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".make" / "scoreboard"
"""Where `scripts/scoreboard.sh` installs what comes from PyPI and npm, and where results are kept."""
FILES = ROOT / "scoreboard" / "rivals"


@dataclass(frozen=True, slots=True)
class Rival:
    """One program. Its program file is `scoreboard/rivals/NAME.toml`."""

    name: str
    source: str
    """Where it comes from, for the table."""
    version: Sequence[str]
    """The command whose last word of its first line is the version."""
    sources: Sequence[str]
    """Files beside its program file that it is run by."""
    chosen: str
    """What differs from its defaults, and what its user has to add; for the page."""

    @property
    def file(self) -> Path:
        return FILES / f"{self.name}.toml"

    @property
    def digest(self) -> str:
        """Of everything here that decides how it is run; results of another one are not kept."""
        texts = [(FILES / name).read_bytes() for name in (self.file.name, *self.sources)]
        return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


_DEBIAN = ("dpkg-query", "--show", "--showformat", "${Version}")
_PIP = (str(HOME / "venv/bin/python"), "-c")

RIVALS = (
    Rival(
        "nat_traversal",
        "this repository",
        (
            str(ROOT / ".venv/bin/python"),
            "-c",
            "import nat_traversal; print(nat_traversal.__version__)",
        ),
        (),
        "Nothing: its own server with its relay, and no key files.",
    ),
    Rival(
        "aioice",
        "PyPI",
        (*_PIP, "from importlib.metadata import version; print(version('aioice'))"),
        ("aioice_peer.py", "swap.py"),
        "coturn for STUN and TURN over UDP. aioice ends with its session; the bridge opens another after 1 s.",
    ),
)


def chosen_rivals(names: Sequence[str]) -> tuple[Rival, ...]:
    """Those called so, or all."""
    return tuple(rival for rival in RIVALS if not names or rival.name in names)


def version_of(rival: Rival) -> tuple[str | None, str]:
    """Its version, and why there is none."""
    try:
        told = subprocess.run(
            rival.version, check=True, capture_output=True, text=True, timeout=30, cwd=HOME
        )
    except OSError as error:
        return None, f"not installed: {error.filename or rival.version[0]}: {error.strerror}"
    except subprocess.SubprocessError as error:
        words = str(getattr(error, "stderr", "") or error).strip().splitlines()
        return None, f"not installed: {words[-1] if words else error}"
    words = told.stdout.split()
    return (words[-1], "") if words else (None, f"{rival.version[0]} told no version")
