"""Millions of inputs: ``python -m tests.exploration.fuzz 10000000``. It prints what came of them, by target."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.exploration.fuzz.fuzz import Fuzz

AT_ONCE = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exploration.fuzz", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    logging.disable()  # a machine's word about each wrong input is no news here
    began, fuzz = time.monotonic(), Fuzz(words.seed)
    while fuzz.done < words.count:
        fuzz.go_on(min(AT_ONCE, words.count - fuzz.done))
        sys.stderr.write(f"{time.monotonic() - began:.0f} s: {fuzz.done:,} inputs\n")
    for name, counter in fuzz.found.items():
        sys.stdout.write(f"{counter.total():>12,}  {name}\n")
        for what, number in counter.most_common():
            sys.stdout.write(f"{number:>16,}  {what}\n")
    sys.stdout.write(f"{fuzz.done:,} inputs in {time.monotonic() - began:.0f} s, nothing wrong\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
