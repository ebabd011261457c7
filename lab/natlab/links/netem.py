"""Linux' netem: the command text that makes it do what a `Way` says, and whether it is there."""

from __future__ import annotations

import json
import subprocess

from natlab.errors import NetworkError
from natlab.links.conditions import Way
from natlab.sandbox.netns import Command, run_together

TC = ("tc", "-batch", "-")

IN_ORDER = "100gbit"
"""Under a rate, however high, netem queues a frame behind the one before it; without one, jitter
lets frames overtake each other (netem_enqueue in net/sched/sch_netem.c)."""


def can(way: Way) -> bool:
    """Whether netem has it all: its queue is one with its delay, and it does not look at lengths."""
    return way.queue is None and way.black_hole is None


def netem(interface: str, way: Way, seed: int) -> str:
    """A line for ``tc -batch`` that puts `way` on what leaves `interface`."""
    return f"qdisc replace dev {interface} root netem {options(way, seed)}\n"


def try_out(*, random: bool) -> None:
    """Try netem in this namespace. To be used inside `natlab.sandbox.sandbox.call`.

    Raises `NetworkError` if there is none, or none that repeats itself where `random` asks for it.
    """
    words = f"delay 1ms{f' seed {_TRIED_SEED}' if random else ''}"
    run_together([Command(TC, f"qdisc add dev lo root netem {words}\n")])
    try:
        shown = subprocess.run(
            ["tc", "-j", "qdisc", "show", "dev", "lo"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        ).stdout
    finally:
        run_together([Command(TC, "qdisc del dev lo root\n")])
    # A kernel before 6.6 accepts a seed, and forgets it.
    if random and not keeps_seed(shown):
        raise NetworkError("netem ignores the seed (Linux 6.6 and newer take it)")


_TRIED_SEED = 1


def keeps_seed(shown: str) -> bool:
    """Whether ``tc -j qdisc show``, after a trial, tells the seed that was given."""
    return any(each.get("options", {}).get("seed") == _TRIED_SEED for each in json.loads(shown))


def redirect(source: str, target: str) -> str:
    """Lines that send every frame that comes to `source` out of `target`, inside the kernel.

    By `u32`, which matches everything here, because `matchall` is missing from more kernels.
    """
    return (
        f"qdisc add dev {source} clsact\n"
        f"filter add dev {source} ingress protocol all u32 match u32 0 0"
        f" action mirred egress redirect dev {target}\n"
    )


def options(way: Way, seed: int) -> str:
    """The arguments after the word ``netem``. Times in microseconds, shares in percent."""
    words = [f"limit {way.limit}"]
    if way.delay:
        words.append(f"delay {_microseconds(way.delay)}")
        if way.jitter:
            words.append(_microseconds(way.jitter))
    for name in ("loss", "duplicate", "reorder"):
        share: float = getattr(way, name)
        if name == "loss" and way.burst is not None:
            worse, stays = way.loses_after
            words.append(f"loss gemodel {100 * worse:.6g}% {100 * (1 - stays):.6g}%")
        elif share:
            words.append(f"{'loss random' if name == 'loss' else name} {100 * share:.6g}%")
    if way.rate is not None:
        words.append(f"rate {way.rate}bit")
    elif way.jitter:
        words.append(f"rate {IN_ORDER}")
    if way.is_random:
        words.append(f"seed {seed}")
    return " ".join(words)


def _microseconds(seconds: float) -> str:
    return f"{round(seconds * 1e6)}us"
