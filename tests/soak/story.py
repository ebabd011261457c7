"""The faults of a soak, one after the other: each made by chance from a seed, each undone before the next."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

LOSS = "0.3"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in the words of the lab, and how it ends. Empty words: the loss of three packets in ten."""

    name: str
    begin: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    lossy: bool = False


def faults(rng: random.Random) -> Callable[[bool], Fault]:
    """Gives the next fault. Its argument: whether processes may be killed now."""
    addresses = dict.fromkeys(range(1, 5), 2)

    def network() -> Fault:
        number = rng.randrange(1, 5)
        match rng.randrange(4):
            case 0:
                return Fault(f"nat-reboot nat_{number}", (f"nat-reboot nat_{number}",))
            case 1:
                addresses[number] = 79 - addresses[number]
                moved = f"wan-address nat_{number} 198.18.{number}.{addresses[number]}"
                return Fault(moved, (moved,))
            case 2:
                return Fault("loss 30 %", lossy=True)
            case _:
                one, other = rng.choice([(1, 2), (2, 1), (3, 4), (4, 3)])
                way = f"nat_{one} nat_{other}"
                return Fault(f"block {way}", (f"block {way}",), (f"unblock {way}",))

    def process(may_kill_server: bool) -> Fault:
        client = rng.choice(["host_1-host_2", "host_2-host_1"])
        match rng.randrange(4):
            case 0 if may_kill_server:
                return Fault("restart server", ("restart server",))
            case 1:
                return Fault("stop server", ("signal server STOP",), ("signal server CONT",))
            case 2:
                stop, go_on = f"signal {client} STOP", f"signal {client} CONT"
                return Fault(f"stop {client}", (stop,), (go_on,))
            case _:
                return Fault(f"restart {client}", (f"restart {client}",))

    return lambda may_kill: process(may_kill) if rng.random() < 0.5 else network()
