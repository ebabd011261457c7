"""Many walks, a thousand at a time: ``python -m tests.exploration.walks 100000``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.exploration.walks.steps import walk

AT_ONCE = 1000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exploration.walks", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--steps", type=int, default=30, help="of each walk")
    parser.add_argument("--seed", type=int, default=1, help="of the first thousand")
    words = parser.parse_args()
    began, done, seed = time.monotonic(), 0, words.seed
    while done < words.count:
        some = min(AT_ONCE, words.count - done)
        walk(some, seed, words.steps)
        done, seed = done + some, seed + 1
        sys.stdout.write(f"{time.monotonic() - began:.0f} s: {done:,} walks, nothing wrong\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
