"""A command of nat_traversal that says every few seconds how much it holds: tasks, and objects by their class.

``python -m tests.soak.watched FILE server …``. Each line of FILE is one JSON object.
"""

from __future__ import annotations

import asyncio
import gc
import json
import runpy
import sys
import threading
import time
from collections import Counter
from pathlib import Path

EVERY = 10.0
"""Seconds between two lines."""


def holdings() -> dict[str, int]:
    """How many objects there are of each class of nat_traversal, and tasks of all event loops."""
    objects = gc.get_objects()
    found = Counter(
        type(each).__qualname__
        for each in objects
        if type(each).__module__.partition(".")[0] == "nat_traversal"
    )
    found["asyncio.Task"] = sum(isinstance(each, asyncio.Task) for each in objects)
    return dict(found)


def watch(file: Path) -> None:
    with file.open("a", encoding="utf-8") as lines:
        while True:
            time.sleep(EVERY)
            gc.unfreeze()  # the collector does not show what a command has put aside at its start
            gc.collect()
            print(json.dumps({"at": time.time(), **holdings()}), file=lines, flush=True)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    threading.Thread(target=watch, args=(target,), daemon=True).start()
    sys.argv[1:2] = []
    runpy.run_module("nat_traversal", run_name="__main__", alter_sys=True)
