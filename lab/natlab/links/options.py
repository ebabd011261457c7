"""The conditions of links on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from nat_traversal.errors import UsageError
from natlab.links.conditions import (
    DEFAULT_DELAY,
    DEFAULT_LINKS,
    PARSERS,
    LinkConditions,
    parse_conditions,
)
from natlab.links.profiles import PROFILES, profile

_HELP = {
    "delay": ("DURATION", f"one way, like 40ms (default: {DEFAULT_DELAY}; 0 for none)"),
    "jitter": ("DURATION", "spread of the delay to either side, like 5ms"),
    "loss": ("SHARE", "of frames, like 1%%"),
    "reorder": ("SHARE", "of frames that skip the delay"),
    "duplicate": ("SHARE", "of frames that arrive twice"),
    "rate": ("RATE", "like 10mbit"),
    "burst": ("FRAMES", "that are lost in a row on average; needs a loss"),
    "queue": ("FRAMES", "that wait for the rate at most; needs a rate"),
    "black_hole": ("OCTETS", "of a packet; larger ones are lost, without an ICMP error"),
}


def add_link_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--delay``, ``--jitter``, ... for the link between each NAT and what is outside it."""
    group = parser.add_argument_group(
        "links", "of each NAT to what is outside it; one value, or OUT/BACK as the NAT sees it"
    )
    group.add_argument(
        "--profile", metavar="NAME", help=f"{', '.join(PROFILES)}; other options go before it"
    )
    for name, (metavar, text) in _HELP.items():
        group.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    group.add_argument("--mtu", metavar="OCTETS", type=_whole, help="68 to 9000")
    group.add_argument(
        "--seed", metavar="N", type=_whole, default=0, help="of all chance (default: %(default)s)"
    )


def link_conditions(
    options: argparse.Namespace, usual: Mapping[str, object] | None = None
) -> LinkConditions:
    """The conditions that the options ask for, else the `usual` ones. Raises `UsageError`.

    Without either they are `DEFAULT_LINKS`.
    """
    given = {name: getattr(options, name) for name in ("profile", *PARSERS, "mtu", "seed")}
    given = {name: value for name, value in given.items() if value is not None}
    if not given.get("seed"):
        given.pop("seed", None)  # nobody asked for 0
    return conditions_of({**(usual or {}), **given})


def conditions_of(values: Mapping[str, object]) -> LinkConditions:
    """The same of values by the options' names: texts or bare numbers, and whole ones for ``mtu`` and ``seed``.

    None is as if it were not there. Raises `UsageError`.
    """
    given = {name: value for name, value in values.items() if value is not None}
    numbers: dict[str, int] = {}
    for name in {"mtu", "seed"} & given.keys():
        value = given.pop(name)
        if not isinstance(value, int):
            raise UsageError(f"{name}: {value!r} must be a whole number")
        numbers[name] = value
    texts = {
        name: str(value)
        for name, value in given.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    if len(texts) != len(given):
        name = next(name for name in given if name not in texts)
        example = _HELP[name][1] if name in _HELP else f"one of {', '.join(PROFILES)}"
        raise UsageError(f"{name}: {given[name]!r} must be a text or a number, as {example}")
    if "profile" in texts:
        texts = {**profile(texts.pop("profile")).conditions, **texts}
    if not texts and "mtu" not in numbers:
        return DEFAULT_LINKS  # a seed alone changes nothing
    return parse_conditions(
        {"delay": DEFAULT_DELAY, **texts}, **numbers, is_default="delay" not in texts
    )


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a whole number below a thousand million"
        )
    return int(text)
