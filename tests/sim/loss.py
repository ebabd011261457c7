"""What the early swap costs where packets are lost: ``python -m tests.sim.loss [SEEDS]``, for each cell that opens.

Beside it a server that gives each round all of its time before the next begins. A cell fails here when its
first attempt does. Exit status 1: success is worse by more than two points, or the median by more than a tenth.
"""

from __future__ import annotations

import itertools
import sys
from statistics import median

from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from natlab.behavior import NINE
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from tests.sim.network import Weather
from tests.sim.world import World

LOSS = Weather(loss=0.2)
SWAPPED = [("port-restricted-cone", "linux-masquerade"), ("full-cone", "linux-masquerade")]
CELLS = [
    *SWAPPED,
    *(
        (nat_a, nat_b)
        for nat_a, nat_b in itertools.product(NINE, repeat=2)
        if predict(nat_a, nat_b).outcome is Outcome.CONNECTED
    ),
]
SOON = ServerSettings()
PATIENT = ServerSettings(swap_within=SOON.verdict_within)


def connected_after(nats: tuple[str, str], seed: int, settings: ServerSettings) -> float | None:
    """Seconds from a cold start until both hosts have a path; None: the attempt failed."""
    world = World(
        nat_a=nats[0], nat_b=nats[1], r=0.05, p=0.04, seed=seed, weather=LOSS, settings=settings
    )
    a, b = world.pair()
    world.until(
        lambda: (
            (a.is_connected and b.is_connected)
            or any(client.told(note.AttemptFailed) for client in (a, b))
        )
    )
    return world.clock.now if a.is_connected and b.is_connected else None


def measured(nats: tuple[str, str], seeds: int, settings: ServerSettings) -> tuple[float, float]:
    """Share of attempts that succeed, and the median of their seconds."""
    found = [connected_after(nats, seed, settings) for seed in range(seeds)]
    times = [each for each in found if each is not None]
    return len(times) / seeds, median(times or [float("inf")])


def main(seeds: int) -> int:
    worse = 0
    for nats in CELLS:
        (share, time), (before, time_before) = (
            measured(nats, seeds, settings) for settings in (SOON, PATIENT)
        )
        is_worse = share < before - 0.02 or time > 1.1 * time_before
        worse += is_worse
        print(  # noqa: T201 - a command
            f"{nats[0]:>22} {nats[1]:<18} {before:7.0%} -> {share:4.0%}"
            f" {time_before:7.2f} s -> {time:.2f} s{'  WORSE' if is_worse else ''}"
        )
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
