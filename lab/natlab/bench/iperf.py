"""`iperf3 -u` as the load of a chain: it makes a system call for each datagram.

It asks its server over TCP, on the port of its datagrams. Where a chain carries UDP alone, a socat beside it carries that.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from natlab.bench.chains import BUFFER, LINK, READY_WITHIN, A, B, Chain, started
from natlab.bench.load import Carried, Load
from natlab.errors import ProgramError
from natlab.sandbox.netns import in_named_namespace

_PAUSE = 0.05


def carry(chain: Chain, load: Load) -> Carried:
    """Let iperf3 offer as many datagrams as it can, or `load.rate` of them, from host A to the service's port on host B.

    It tells no delays. Raises `ProgramError` if nothing comes.
    """
    port = chain.ports.service
    host, to = chain.to
    with ExitStack() as stack:
        stack.enter_context(chain.port_lent())
        stack.enter_context(started(B, ["iperf3", "--server", "--port", f"{port}"]))
        if host != LINK[B] and to == chain.ports.listen:
            listening = f"TCP4-LISTEN:{to},bind={host},reuseaddr,fork"
            stack.enter_context(started(A, ["socat", listening, f"TCP4:{LINK[B]}:{port}"]))
        bits = int(8 * load.size * load.rate)
        words = ["iperf3", "--udp", "--json", "--client", host, "--port", f"{to}"]
        words += ["--length", f"{load.size}", "--bitrate", f"{bits}", "--window", f"{BUFFER}"]
        words += ["--time", f"{max(1, round(load.seconds))}"]
        return carried(_asked(words))


def carried(said: Mapping[str, Any]) -> Carried:
    """The fate of the datagrams in the words of `iperf3 --json`. Raises `ProgramError`."""
    try:
        sent, came = said["end"]["sum_sent"], said["end"]["sum_received"]
        received = came["packets"] - came["lost_packets"]
        share = received / max(1, sent["packets"])
        return Carried(sent["packets"], received, sent["seconds"], 0.0, 0.0, share)
    except (KeyError, TypeError) as error:
        problem = said.get("error", f"no {error}")
        raise ProgramError(f"iperf3 does not tell what came: {problem}") from None


def _asked(words: list[str]) -> dict[str, Any]:
    """The words of the client, once its server is there."""
    deadline = time.monotonic() + READY_WITHIN
    while True:
        with in_named_namespace(A):
            done = subprocess.run(
                words, capture_output=True, encoding="utf-8", errors="replace", check=False
            )
        said: dict[str, Any] = json.loads(done.stdout or "{}")
        if "error" not in said or time.monotonic() > deadline:
            return said
        time.sleep(_PAUSE)
