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
    """Files beside its program file that it is run by; ``../..`` and a pattern are this repository's."""
    chosen: str
    """Differences from its defaults, and additions that its user has to make; for the page."""

    @property
    def file(self) -> Path:
        return FILES / f"{self.name}.toml"

    @property
    def digest(self) -> str:
        """Of everything here that decides how it is run; results of another one are not kept."""
        files = (
            path for name in (self.file.name, *self.sources) for path in sorted(FILES.glob(name))
        )
        texts = [path.read_bytes() for path in files]
        return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


_DEBIAN = ("dpkg-query", "--show", "--showformat", "${Version}")
_NODE = (
    "node",
    "-p",
    "JSON.parse(require('fs').readFileSync(`node_modules/${process.argv[1]}/package.json`)).version",
)
_PIP = (str(HOME / "venv/bin/python"), "-c")

_OURS = "../../nat_traversal/**/*.py"
_OUR_VERSION = (
    str(ROOT / ".venv/bin/python"),
    "-c",
    "import nat_traversal; print(nat_traversal.__version__)",
)

RIVALS = (
    Rival(
        "nat_traversal",
        "this repository",
        _OUR_VERSION,
        (_OURS,),
        "Nothing: its own server with its relay, and no key files.",
    ),
    Rival(
        "nat_traversal-key",
        "this repository",
        _OUR_VERSION,
        (_OURS,),
        "A key that both hosts share, so the rung `birthday` is on by itself: the peer has agreed to a hundred guesses a second. Else as nat_traversal.",
    ),
    Rival(
        "aioice",
        "PyPI",
        (*_PIP, "from importlib.metadata import version; print(version('aioice'))"),
        ("aioice_peer.py", "swap.py"),
        "coturn for STUN and TURN over UDP. aioice ends with its session; the bridge opens another after 1 s.",
    ),
    Rival(
        "libnice",
        "Debian",
        (*_DEBIAN, "libnice10"),
        ("libnice_peer.py", "swap.py"),
        "coturn for TURN over UDP and TCP, which tells the reflexive address too: no STUN server, whose answers this version does not take. Consent freshness (RFC 7675), off by default, is on. Candidates are exchanged when all are"
        " gathered. The bridge makes another agent 1 s after one has failed.",
    ),
    Rival(
        "libdatachannel",
        "npm: node-datachannel",
        (*_NODE, "node-datachannel"),
        ("libdatachannel_peer.js", "bridge.js", "swap.py"),
        "coturn for STUN and TURN over UDP; a data channel without order and retransmission, for datagrams. Candidates are exchanged when all are gathered. The bridge makes"
        " another connection 1 s after one has failed.",
    ),
    Rival(
        "hyperdht",
        "npm",
        (*_NODE, "hyperdht"),
        ("hyperdht_peer.js", "bridge.js"),
        "Ten DHT nodes of its own at the server's address. It has no relay by default. The bridge connects again 1 s after a stream has ended.",
    ),
    Rival(
        "n2n",
        "Debian",
        (*_DEBIAN, "n2n"),
        ("n2n.sh",),
        "Nothing: a supernode, which relays by default, and two edges.",
    ),
    Rival(
        "nebula",
        "Debian",
        (*_DEBIAN, "nebula"),
        ("nebula.sh",),
        "The package's example configuration with every port open inside the tunnel: a lighthouse, punching, no relay.",
    ),
    Rival(
        "nebula-relay",
        "Debian",
        (*_DEBIAN, "nebula"),
        ("nebula.sh",),
        "As nebula, and two options of the example: the lighthouse is a relay, and `punchy.respond` is on, for difficult NATs.",
    ),
    Rival(
        "tinc",
        "Debian",
        (*_DEBIAN, "tinc"),
        ("tinc.sh",),
        "Nothing: a node at the server, to which both connect and which relays by default.",
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
