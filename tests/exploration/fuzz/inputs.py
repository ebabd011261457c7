"""Inputs by chance: octets, text and JSON near what is right."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from tests.mutations import changed

NUMBERS = (0, 1, 2, 3, 4, 255, 256, 65_535, 65_536, -1, 2**31, 2**63, 2**64, 10**400)
VALUES: tuple[Any, ...] = (
    *NUMBERS, None, True, False, 0.5, -0.0, 1e400, float("nan"), "", "a", "host_a", "0" * 32, "f" * 64, "ÿ", "\ud800",
    "\n", "192.0.2.1", "::1", "fe80::1%eth0", "x" * 1200, [], {}, [[]], [None] * 40,
)  # fmt: skip
WORDS = (
    "=", "[", "]", '"', "'", "\\", "{", "}", "#", "\n", ",", ".", ":", "-", "1", "0x", "true", "inf", "nan", "\t", "\0",
    "é", "\u2028", "[[", '"""', "1979-05-27", "$LAB_X", "65536", "1s", "ms", " ",
)  # fmt: skip


def octets(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, changed; now and then as it is, or noise."""
    choice = rng.randrange(16)
    if choice == 0:
        return rng.randbytes(rng.randrange(1, 120))
    seed = rng.choice(seeds)
    return seed if choice == 1 or not seed else changed(seed, list(seeds), rng)


def text(rng: random.Random, seeds: Sequence[str]) -> str:
    """One of the seeds, with words and lines put in, left out, doubled, and exchanged."""
    found = rng.choice(seeds)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(6):
            case 0:
                found = found[:at] + rng.choice(WORDS) + found[at:]
            case 1:
                found = found[:at] + found[at + rng.randrange(1, 9) :]
            case 2:
                found = found[:at] + chr(rng.randrange(0x250)) + found[at + 1 :]
            case 3:
                lines = found.split("\n")
                lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                found = "\n".join(lines)
            case 4:
                other = rng.choice(seeds)
                found = found[:at] + other[rng.randrange(len(other) + 1) :]
            case _:
                lines = found.split("\n")
                del lines[rng.randrange(len(lines))]
                found = "\n".join(lines)
    return found


def line(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A line of control near one of the seeds: other octets, or other values, without its newline."""
    if rng.randrange(3) == 0:
        return octets(rng, seeds)
    fields: Any = json.loads(rng.choice(seeds))
    for _ in range(rng.randrange(1, 3)):
        _change(rng, fields, seeds)
    return json.dumps(fields).encode("utf-8", "surrogatepass")


def _change(rng: random.Random, fields: Any, seeds: Sequence[bytes]) -> None:
    """One value in a nest of tables and lists."""
    while True:
        if not fields:
            return
        key = rng.choice(list(fields)) if isinstance(fields, dict) else rng.randrange(len(fields))
        inner = fields[key]
        if not isinstance(inner, dict | list) or rng.randrange(3) == 0:
            break
        fields = inner
    match rng.randrange(5):
        case 0:
            del fields[key]
        case 1:
            other = json.loads(rng.choice(seeds))
            fields[key] = rng.choice(list(other.values()))
        case 2 if isinstance(inner, int):
            fields[key] = inner + rng.randrange(-2, 3)
        case 3 if isinstance(inner, str) and inner:
            at = rng.randrange(len(inner))
            fields[key] = inner[:at] + rng.choice("0fg. é") + inner[at + 1 :]
        case _:
            fields[key] = deepcopy(rng.choice(VALUES))


def pieces(rng: random.Random, whole: bytes) -> list[bytes]:
    """The same octets, cut anywhere."""
    cuts = sorted(rng.randrange(len(whole) + 1) for _ in range(rng.randrange(4)))
    return [whole[i:j] for i, j in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
