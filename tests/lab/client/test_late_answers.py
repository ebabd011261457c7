"""An answer that comes when its flow has made room reaches no other program.

In a sandbox: on the host's loopback, answers to ports that were given up would meet other tests at work.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from dataclasses import replace
from typing import cast

from nat_traversal import ClientSettings, Endpoint
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.service import FixedService
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.machine.actions import UsePath
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.tray import Run
from tests.lab import warm
from tests.loopback.support import eventually

LAG, AT_A_TIME = 700, 400
SETTINGS = ClientSettings(flows=AT_A_TIME, new_flows=1_000_000)


class Answers:
    """In the place of a path: the answers, and how many came to another flow than the one that asked."""

    def __init__(self) -> None:
        self.came = self.astray = 0
        self.order = UsePath(1, Endpoint("127.0.0.1", 1), cast(Epochs, None))

    def send_run(self, number: int, from_listener: bool, run: Run) -> None:
        assert not from_listener
        for payload in run.parts():
            self.came += 1
            self.astray += int(bytes(payload)) != number

    def send_alone(self, number: int, from_listener: bool, run: Run, now: float) -> None:
        self.send_run(number, from_listener, run)

    def flush(self) -> None:
        """Nothing waits."""


async def churn(asked: int, settings: ClientSettings) -> int:
    """So many programs ask once each; a service answers each after 700 others have asked. The answers that go astray."""
    answers = Answers()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", 0))
        at = FixedService([endpoint_of(service.getsockname())])
        connector = Connector(at, Counters(), lambda _: None, settings)
        connector.attach(cast(DataPath, answers))
        late: deque[tuple[bytes, tuple[str, int]]] = deque()
        for number in range(asked):
            connector.deliver(number, [memoryview(str(number).encode())])
            late.append(service.recvfrom(64))
            if len(late) > LAG:
                service.sendto(*late.popleft())
            if number % 8 == 0:
                await asyncio.sleep(0)
        assert connector.flows == AT_A_TIME
        while late:  # all that are still open get theirs
            service.sendto(*late.popleft())
        await eventually(lambda: answers.came >= AT_A_TIME, "the last answers")
        connector.close()
    return answers.astray


def _astray(asked: int, settings: ClientSettings = SETTINGS) -> int:
    return asyncio.run(churn(asked, settings))


def test_no_late_answer_reaches_another_program_and_without_recalled_ports_some_would() -> None:
    assert warm.call(60.0, _astray, 2_500) == 0
    unguarded = replace(SETTINGS, parked_for=0.0, parked_ports=0)
    assert warm.call(60.0, _astray, 1_800, unguarded) > 0, "the churn notices what it is for"
