"""TCP services between two homes: curl fetches a file, and redis-cli asks a database, through one sealed path.

python examples/tcp.py [NAT_A NAT_B [MEBIBYTES]]

Home b has the web server and the database. Home a's programs connect to ports of their own host, which
`--service NAME:listen=tcp:PORT` leads there.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from natlab.testbed.api import NatLab
from natlab.testbed.program import Finished

PYTHON = f"{sys.executable} -m nat_traversal"
WEB, DATABASE = 8000, 6379
"""At home b."""
LISTEN_WEB, LISTEN_DATABASE = 8080, 6380
"""At home a."""
FETCHED = "file.fetched"


@dataclass(frozen=True, slots=True)
class Result:
    """The octets that came through."""

    is_whole: bool
    """The file is the same at both homes."""
    seconds: float
    """For the file."""
    database: tuple[str, ...]
    """The database's answers."""


def run(lab: NatLab, octets: int = 2_000_000) -> Result:
    """Build the services, and use them. `octets`: of the file."""
    file = lab.directory / "file"
    file.write_bytes(os.urandom(octets))
    lab.start("server", f"{PYTHON} server", ready="tcp:6545")
    common = f"{PYTHON} client --server $LAB_SERVER"
    lab.start(
        "host_b",
        f"{sys.executable} -m http.server --bind 127.0.0.1 --directory {lab.directory} {WEB}",
        ready=f"tcp:{WEB}",
    )
    lab.start(
        "host_b",
        f"redis-server --bind 127.0.0.1 --port {DATABASE} --save '' --appendonly no",
        ready=f"tcp:{DATABASE}",
    )
    clients = [
        lab.start(
            "host_a",
            f"{common} --id host_a -r host_b --service web:listen=tcp:{LISTEN_WEB} "
            f"--service database:listen=tcp:{LISTEN_DATABASE}",
        ),
        lab.start(
            "host_b",
            f"{common} --id host_b -r host_a --service web:connect=tcp:127.0.0.1:{WEB} "
            f"--service database:connect=tcp:127.0.0.1:{DATABASE}",
        ),
    ]
    for client in clients:
        client.wait_for_line("services to host_. are ready: database, web", timeout=30)
    fetched = lab.directory / FETCHED
    curl = _succeed(
        lab.run(
            "host_a",
            "curl --silent --show-error --fail --write-out %{time_total} "
            f"--output {fetched} http://127.0.0.1:{LISTEN_WEB}/file",
            timeout=1200,
        )
    )
    answers = [
        _succeed(lab.run("host_a", f"redis-cli -p {LISTEN_DATABASE} {words}")).stdout.strip()
        for words in ("set where home-b", "get where")
    ]
    return Result(_digest(fetched) == _digest(file), float(curl.stdout), tuple(answers))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _succeed(done: Finished) -> Finished:
    if done.status != 0:
        raise SystemExit(f"exit status {done.status}: {done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    pair = sys.argv[1:3] or ["port-restricted-cone", "full-cone"]
    size = int(sys.argv[3]) << 20 if len(sys.argv) > 3 else 2_000_000
    with (
        tempfile.TemporaryDirectory() as directory,
        NatLab(pair[0], pair[1], Path(directory)) as lab,
    ):
        print(f"{pair[0]} × {pair[1]}: {run(lab, size)}")
