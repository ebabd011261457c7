"""``make soak``: a long run with a fault every few seconds, and what it found."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nat_traversal.arguments.durations import parse_duration
from natlab.sandbox.sandbox import call
from tests.soak.soak import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak SOAK_ARGS=", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=parse_duration, default=3600.0, help="1h")
    parser.add_argument("--every", type=parse_duration, default=20.0, help="pause of faults: 20s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=Path("soak-report"), help="a directory")
    words = parser.parse_args()
    words.report.mkdir(parents=True, exist_ok=True)
    limit = words.seconds + 300.0
    found = call(limit, soak, words.report.resolve(), words.seconds, words.every, words.seed)
    told = [
        *(f"{each}" for each in found.accounts),
        found.growth,
        f"{len(found.faults)} faults in {found.seconds:g} s; wrong: {found.wrong or 'nothing'}",
    ]
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
