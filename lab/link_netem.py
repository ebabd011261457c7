"""The command text that makes Linux' netem do what a `Way` says. Pure."""

from __future__ import annotations

from lab.link_conditions import Way

IN_ORDER = "100gbit"
"""Under a rate, however high, netem queues a frame behind the one before it; without one, jitter
lets frames overtake each other (netem_enqueue in net/sched/sch_netem.c)."""


def netem(interface: str, way: Way, seed: int) -> str:
    """A line for ``tc -batch`` that puts `way` on what leaves `interface`."""
    return f"qdisc replace dev {interface} root netem {options(way, seed)}\n"


def try_out(random: bool) -> str:
    """A line that only works where netem does, and takes a seed if chance is to be repeated."""
    return f"qdisc add dev lo root netem delay 1ms{' seed 1' if random else ''}\n"


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
    """What follows the word ``netem``. Times in microseconds, shares in percent."""
    words = [f"limit {way.limit}"]
    if way.delay:
        words.append(f"delay {_microseconds(way.delay)}")
        if way.jitter:
            words.append(_microseconds(way.jitter))
    for name in ("loss", "duplicate", "reorder"):
        share: float = getattr(way, name)
        if share:
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
