"""``make scoreboard``: programs that others made, and ours, through the NATs of the lab."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nat_traversal.errors import UsageError
from natlab.errors import LabError
from scoreboard.collect import Which, collect, results_file
from scoreboard.pages import as_json, markdown, page
from scoreboard.results import read_kept
from scoreboard.rivals import HOME, RIVALS, ROOT, Rival, chosen_rivals, version_of
from scoreboard.table import Entry
from scoreboard.trials import GROUPS, SUITES

DOCUMENT = ROOT / "docs" / "scoreboard.md"
BEGIN, END = "<!-- the last run -->\n", "<!-- its end -->\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make scoreboard SCOREBOARD_ARGS=", description=__doc__)
    add = parser.add_argument
    names = [rival.name for rival in RIVALS]
    add("--rival", action="append", choices=names, default=[], help="only this (repeat it)")
    kinds = [*SUITES, *(group.name for group in GROUPS if group.name not in SUITES)]
    add("--pairs", action="append", choices=kinds, default=[], help="only these (repeat it)")
    add("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="trials at a time: %(default)s")
    add("--most", type=int, help="end after so many trials (default: when none is left)")
    add("--late", action="store_true", help="also what had links that were late")
    add("--again", action="store_true", help="also what has a result")
    add("--print", action="store_true", help="run nothing: show the results that there are")
    add("--document", action="store_true", help="put the tables into docs/scoreboard.md as well")
    add("--output", type=Path, default=HOME / "out", help="for Markdown, JSON, HTML: %(default)s")
    options = parser.parse_args()
    for name, value in (("--jobs", options.jobs), ("--most", options.most)):
        if value is not None and value < 1:
            parser.error(f"{name}: give 1 or more")
    try:
        if not options.print:
            _run(options)
    except KeyboardInterrupt:
        _say("ended: what is finished is kept, and the same command goes on from there")
        return 130
    except (LabError, UsageError) as error:
        _say(f"error: {error}")
        return 1
    _write(options)
    return 0


def _run(options: argparse.Namespace) -> None:
    wanted = set(options.pairs)
    groups = [group for group in GROUPS if not wanted or {group.name, group.suite} & wanted]
    which = Which.ALL if options.again else Which.LATE if options.late else Which.MISSING
    there: list[tuple[Rival, str]] = []
    for rival in chosen_rivals(options.rival):
        version, reason = version_of(rival)
        if version is None:
            _say(f"{rival.name}: {reason}")
        else:
            there.append((rival, version))
    left = options.most
    # All rivals in turn, group by group: what else the machine does then meets all of them alike.
    for group in groups:
        for rival, version in there:
            if left == 0:
                return
            ran = collect(rival, version, group, options.jobs, _say, which=which, most=left)
            left = None if left is None else left - ran


def _entry(rival: Rival) -> Entry:
    kept = read_kept(results_file(rival))
    version, reason = version_of(rival)
    command = f"python -m lab matrix --delay 10ms --program scoreboard/rivals/{rival.file.name}"
    return Entry(
        rival.name,
        kept.version if kept else version,
        rival.source,
        rival.chosen,
        command,
        kept.rows if kept else None,
        kept.header if kept else {},
        reason or "not run yet",
    )


def _write(options: argparse.Namespace) -> None:
    entries = [_entry(rival) for rival in RIVALS]
    text = markdown(entries)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("scoreboard.md", text),
        ("scoreboard.json", as_json(entries)),
        ("scoreboard.html", page(entries)),
    ):
        (options.output / name).write_text(content, encoding="utf-8")
    if options.document:
        old = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = old.partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    sys.stdout.write(text)
    _say(f"Markdown, JSON and HTML: {options.output}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
