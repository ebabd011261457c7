"""A real TURN server for a cell: coturn on the node ``turn``, with a name and a password that nobody else knows."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nat_traversal.errors import UsageError
from nat_traversal.wire.turn import LIBRARY
from nat_traversal.wire.turn import PORT as TURN_PORT
from natlab.network import addressing
from natlab.oracle.turn import Turn
from natlab.sandbox.machine import search_path

if TYPE_CHECKING:
    from natlab.network.network import Network
    from natlab.programs.programs import Programs

PROGRAM = "turnserver"
_READY_WITHIN = 20.0
_NAME = "lab"
_ADDRESS = str(addressing.TURN.ip)


def check_coturn() -> None:
    """Raises `UsageError`, with the remedy, where coturn or the clients' package for TURN is missing."""
    if shutil.which(PROGRAM, path=search_path()) is None:
        raise UsageError(
            f"--turn needs coturn's {PROGRAM}, which is not here: sudo apt-get install coturn"
        )
    if find_spec(LIBRARY) is None:
        raise UsageError(
            f"--turn needs {LIBRARY} for the clients: pip install 'nat-traversal[turn]'"
        )


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """The options of the clients, by host."""

    hosts: tuple[str, ...]
    options: tuple[str, ...]

    def of(self, host: str) -> tuple[str, ...]:
        """Those of the client on `host`."""
        return self.options if host in self.hosts else ()


@contextmanager
def coturn(turn: Turn, network: Network, programs: Programs) -> Iterator[TurnOptions]:
    """Run it. The files with the password are for their owner only, and go with it.

    Raises `ProgramError` if it does not begin to listen.
    """
    with TemporaryDirectory(prefix="natlab-turn-") as text:
        directory, password = Path(text), secrets.token_urlsafe(24)
        credentials = directory / "credentials"
        _write(credentials, f"{_NAME}\n{password}\n")
        settings = directory / "turnserver.conf"
        _write(
            settings,
            f"""\
listening-ip={_ADDRESS}
relay-ip={_ADDRESS}
listening-port={TURN_PORT}
lt-cred-mech
realm=lab
user={_NAME}:{password}
userdb={directory / "turndb"}
pidfile={directory / "pid"}
relay-threads=1
no-tls
no-dtls
no-cli
log-file=stdout
simple-log
""",
        )
        server = programs.start("coturn", [PROGRAM, "-c", str(settings)], network.pid("turn"))
        server.wait_until_bound("udp", TURN_PORT, timeout=_READY_WITHIN)
        if turn.by_tcp:
            server.wait_until_bound("tcp", TURN_PORT, timeout=_READY_WITHIN)
        uri = f"turn:{_ADDRESS}?transport={'tcp' if turn.by_tcp else 'udp'}"
        yield TurnOptions(turn.hosts, ("--turn", uri, "--turn-credentials", str(credentials)))


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
