"""A recorded run of real processes: no payload, secret or id is in clear on any wire; the key log opens it."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nat_traversal.crypto.key_log import KnownKeys
from nat_traversal.crypto.keyfile import SHARED, as_text
from natlab.evidence.journey import CAPTURE_POINTS
from tests.lab import warm
from tests.lab.pairs import PYTHON, READY_WITHIN, Pair, events, prepare, start, tunnels

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.timeout(120)
_TIMEOUT = 100.0
PAIR = Pair("host_a", "host_b")
RUN = 8
"""Octets in a row that count as a find."""
HEADERS = 14 + 20 + 8
"""Ethernet, IPv4, UDP."""
SIZE = 400
"""Octets that fit a frame before the MTU of the path is known."""


@dataclass(frozen=True, slots=True)
class Seen:
    frames: list[bytes]
    log: str


def _record(directory: Path, key_file: str) -> Seen:
    from natlab.capture.taps import Capture, Tap
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    log = directory / "keys.log"
    prepare()
    with (
        two_nats_network("port-restricted-cone", "full-cone") as network,
        Programs(directory) as programs,
    ):
        taps = [Tap(network.pid(node), interface) for interface, node in CAPTURE_POINTS.items()]
        with Capture(taps) as recorded:
            words = (*PYTHON, "server", "--json", "--tls", "--state", str(directory))
            server = start(programs, "server", words, network.pid("server"))
            server.wait_for_line('"event": "listening"', timeout=READY_WITHIN)
            fingerprint = next(str(e["fingerprint"]) for e in events(server) if "fingerprint" in e)
            options = (
                *("--once", "--server-fingerprint", fingerprint),
                *("--key-file", key_file, "--key-log", str(log)),
            )
            with tunnels(network, programs, PAIR, options=options) as made:
                tunnel = made[PAIR]
                assert tunnel.verdicts() == {"path-established"}
                assert tunnel.lost([SIZE, 9000]) == []
    return Seen([bytes(frame) for frame in recorded.frames], log.read_text(encoding="ascii"))


def runs(secrets: Iterable[bytes]) -> set[bytes]:
    """Every run of octets that must not be seen."""
    return {secret[at : at + RUN] for secret in secrets for at in range(len(secret) - RUN + 1)}


def found(wanted: set[bytes], frames: Iterable[bytes]) -> list[bytes]:
    return [
        frame
        for frame in frames
        if any(frame[at : at + RUN] in wanted for at in range(len(frame) - RUN + 1))
    ]


def test_nothing_is_in_clear_on_any_wire_and_the_key_log_opens_it(tmp_path: Path) -> None:
    psk = bytes(range(100, 132))
    file = tmp_path / "shared.key"
    file.write_text(as_text(SHARED, psk))
    file.chmod(0o600)
    seen = warm.call(_TIMEOUT, _record, tmp_path, str(file))
    payloads = [random.Random(size).randbytes(size) for size in (SIZE, 9000)]
    keys = [bytes.fromhex(line.split()[-1]) for line in seen.log.splitlines()]
    assert len(keys) >= 4
    secrets = [psk, *keys]
    texts = [
        form
        for secret in secrets
        for form in (secret.hex().encode(), as_text(SHARED, secret).removeprefix(SHARED).encode())
    ]
    ids = [client.encode() for client in PAIR.clients]
    forbidden = runs([*payloads, *secrets, *texts, *ids])
    assert found(forbidden, [b"..." + payloads[0][100:200]]), "the search finds what is there"
    assert len(seen.frames) > 20
    assert found(forbidden, seen.frames) == []
    known = KnownKeys(seen.log.splitlines())
    opened = [known.open(frame[HEADERS:]) or b"" for frame in seen.frames]
    assert any(plain.endswith(payloads[0]) for plain in opened), (
        "the log opens a datagram of a program"
    )
