"""The conditions of links on a command line."""

from __future__ import annotations

import argparse

from natlab.links.conditions import (
    DEFAULT_DELAY,
    DEFAULT_LINKS,
    PARSERS,
    LinkConditions,
    parse_conditions,
)

_HELP = {
    "delay": ("TIME", f"one way, like 40ms (default: {DEFAULT_DELAY}; 0 for none)"),
    "jitter": ("TIME", "spread of the delay to either side, like 5ms"),
    "loss": ("SHARE", "of frames, like 1%%"),
    "reorder": ("SHARE", "of frames that skip the delay"),
    "duplicate": ("SHARE", "of frames that arrive twice"),
    "rate": ("RATE", "like 10mbit"),
}


def add_link_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--delay``, ``--jitter``, ... for the link between each NAT and what is outside it."""
    group = parser.add_argument_group(
        "links", "of each NAT to what is outside it; one value, or OUT/BACK as the NAT sees it"
    )
    for name, (metavar, text) in _HELP.items():
        group.add_argument(f"--{name}", metavar=metavar, help=text)
    group.add_argument("--mtu", metavar="OCTETS", type=_whole, help="68 to 9000")
    group.add_argument(
        "--seed", metavar="N", type=_whole, default=0, help="of all chance (default: %(default)s)"
    )


def link_conditions(options: argparse.Namespace) -> LinkConditions:
    """The conditions that the options ask for, `DEFAULT_LINKS` without any. Raises `UsageError`."""
    texts: dict[str, str] = {
        name: text for name in PARSERS if (text := getattr(options, name)) is not None
    }
    if not texts and options.mtu is None:
        return DEFAULT_LINKS  # a seed alone changes nothing
    return parse_conditions({"delay": DEFAULT_DELAY, **texts}, mtu=options.mtu, seed=options.seed)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number")
    return int(text)
