"""A minute of `make soak`, and what it is able to find."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

import pytest

from natlab.faults.grammar import parse_action
from tests.lab import warm
from tests.soak.load import Load, datagram
from tests.soak.samples import SETTLED, WINDOW, Life
from tests.soak.soak import Result, soak
from tests.soak.story import faults

_ASKED, _ANSWERED = 0, 1


def _short(directory: Path) -> Result:
    return soak(directory, seconds=40.0, every=4.0, seed=3, lull=16.0)


@pytest.mark.timeout(150)
def test_a_minute_of_faults_doubles_and_misleads_nothing(tmp_path: Path) -> None:
    found = warm.call(140.0, _short, tmp_path)
    assert found.wrong == []
    assert len(found.faults) == 6
    for account in found.accounts:
        assert account["answered"], found
    held = [json.loads(line) for line in (tmp_path / "server.held").read_text().splitlines()]
    assert held[-1]["Rendezvous"] == 1
    assert held[-1]["asyncio.Task"] > 0


def _grown(**last: int) -> list[str]:
    """What a life of half an hour shows that ends with these counts, and had others all the time."""
    life = Life("server", 0.0)
    end = SETTLED + 3 * WINDOW
    for at in range(0, int(end) + 1, 10):
        counts = {"memory": 40_000, "descriptors": 12, "Session": 2}
        if at > end - WINDOW:
            counts |= last
        life.samples.append((float(at), counts))
    return life.growth()


def test_growth_is_found_and_a_moment_is_none() -> None:
    assert _grown() == []
    assert _grown(descriptors=14, memory=40_900) == []
    assert _grown(descriptors=30) == ["server: descriptors grew from 12 to 30"]
    assert _grown(memory=50_000) == ["server: memory grew from 40000 to 50000"]
    assert _grown(Session=40) == ["server: Session grew from 2 to 40"]


def test_what_comes_and_goes_all_the_time_has_not_grown(tmp_path: Path) -> None:
    """A process names no class of which it has nothing: the median is of all looks, not of those that found some."""
    end = int(SETTLED + 3 * WINDOW)
    held = tmp_path / "client.held"
    rows = [
        {"at": at, "Agent": 1} | ({"_Partial": 14} if at % 60 == 0 else {})
        for at in range(0, end, 10)
    ]
    held.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    life = Life("client", 0.0)
    life.add_holdings(held)
    assert life.growth() == []
    assert life.compared()["_Partial"] == (0, 0)


@pytest.mark.parametrize(
    ("program", "data", "fault"),
    [
        (None, datagram(0, 0, 1, _ASKED), "doubled"),
        (None, datagram(1, 0, 2, _ASKED), "misdelivered"),
        (None, datagram(0, 0, 2, _ANSWERED), "misdelivered"),
        (0, datagram(0, 0, 1, _ANSWERED), "doubled"),
        (1, datagram(0, 0, 1, _ANSWERED), "misdelivered"),
        (0, datagram(0, 0, 7, _ANSWERED), "never asked"),
        (0, datagram(0, 0, 1, _ANSWERED) + b"!", "changed"),
        (0, b"hello", "foreign octets"),
    ],
)
def test_a_datagram_that_must_not_be_is_found(program: int | None, data: bytes, fault: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        load = Load(0, [], ("127.0.0.1", 1), service)
        load.judge(None, datagram(0, 0, 1, _ASKED), ("127.0.0.1", 9))
        load.judge(0, datagram(0, 0, 1, _ANSWERED), ("127.0.0.1", 9))
        assert load.account.faults == []
        load.judge(program, data, ("127.0.0.1", 9))
    ((found),) = load.account.faults
    assert fault in found


def test_every_fault_is_one_that_the_lab_knows() -> None:
    following = faults(random.Random(0))
    names = set()
    for number in range(200):
        fault = following(number % 2 == 0)
        names.add(fault.name.split()[0])
        for words in (*fault.begin, *fault.end):
            parse_action(words)
    assert names == {"nat-reboot", "wan-address", "loss", "block", "restart", "stop"}
