"""Many runs of each pair, ours beside aioice with coturn in the same lab: ``make ladder-runs`` (`docs/ladder-runs.md`)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from itertools import product
from pathlib import Path

from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import RELAYS
from natlab.behavior import NINE
from natlab.errors import LabError
from natlab.evidence.result import CellResult
from natlab.evidence.way import Kind
from natlab.links.options import conditions_of
from natlab.matrix.matrix import Plan, run_matrix
from natlab.testbed.program_file import ProgramFile, read_program_file
from scoreboard.results import row_of
from scoreboard.rivals import HOME, RIVALS, ROOT, Rival, version_of
from scoreboard.runs_page import AIOICE, NINE_PAIRS, OURS, Place, Trial, markdown
from scoreboard.trials import GROUPS, PLACES, PRESET_PAIRS, placed

DOCUMENT = ROOT / "docs" / "ladder-runs.md"
BEGIN, END = "<!-- the runs -->\n", "<!-- their end -->\n"
KEPT = HOME / "results" / "runs.jsonl"
"""A line a trial, the last of a trial counts. A line that another program or client made is passed over."""
_REGIONS = "regions,nat_a={nat_a},nat_b={nat_b},a_b=10ms,a_s=20ms,b_s=20ms"
"""With 5 ms on each NAT's link: a round trip of 50 ms to the server, and of 40 ms between the hosts."""
_WITHIN, _SETTLE = 30.0, 4.0
"""Seconds until datagrams are answered, and then until the way is looked at: of every program alike."""
PROGRAMS = {rival.name: rival for rival in RIVALS if rival.name in {OURS, AIOICE}}


def _place(name: str, title: str, pairs: Sequence[tuple[str, str]]) -> Place:
    return Place(name, title, pairs, "5ms", "R = 50 ms, P = 40 ms", _REGIONS)


def _other_places() -> Iterator[Place]:
    delays = {
        "behind-carrier": ("5ms", "R = 20 ms, P = 40 ms"),
        "one-carrier": ("10ms", "R = 40 ms, P = 40 ms"),
        "same-nat": ("25ms", "R = 50 ms, P = 0"),
    }
    for group in GROUPS:
        if group.suite != PLACES:
            continue
        if group.topology is None:
            yield _place(group.name, group.title, group.pairs)
        else:
            delay, told = delays[group.name]
            yield Place(
                group.name, group.title, group.pairs, delay, told, group.topology, group.nodes
            )


ALL: tuple[Place, ...] = (
    _place(NINE_PAIRS, "the nine behaviours", list(product(NINE, NINE))),
    *_other_places(),
    *(_place(each.name, each.title, each.pairs) for each in GROUPS if each.suite == PRESET_PAIRS),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make ladder-runs RUNS_ARGS=", description=__doc__)
    add = parser.add_argument
    add("--runs", type=int, default=20, help="of each pair: %(default)s")
    add("--jobs", type=int, default=3 * (os.cpu_count() or 1), help="at a time: %(default)s")
    add("--most", type=int, help="end after about so many trials (default: when none is left)")
    names = [place.name for place in ALL]
    add("--place", action="append", choices=names, default=[], help="only this (repeat it)")
    add("--late", action="store_true", help="also what had links that were late")
    add("--print", action="store_true", help="run nothing: show the results that there are")
    add("--document", action="store_true", help="put the tables into docs/ladder-runs.md as well")
    options = parser.parse_args()
    places = [place for place in ALL if not options.place or place.name in options.place]
    try:
        if not options.print:
            run_all(places, options.runs, options.jobs, options.most, late=options.late)
    except KeyboardInterrupt:
        _say("ended: what is finished is kept, and the same command goes on from there")
        return 130
    except (LabError, UsageError) as error:
        _say(f"error: {error}")
        return 1
    text = markdown(ALL, list(read_trials()), {name: told_version(name) for name in PROGRAMS})
    if options.document:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    sys.stdout.write(text)
    return 0


def told_version(name: str) -> str:
    """The version of a program, or why there is none."""
    version, reason = version_of(PROGRAMS[name])
    return version or reason


def run_all(places: Sequence[Place], runs: int, jobs: int, most: int | None, *, late: bool) -> None:
    """Run what is missing: the programs in turn, and all pairs once before any has its next run."""
    left = most
    for number in range(1, runs + 1):
        for place in places:
            for program in PROGRAMS:
                if left is not None and left <= 0:
                    return
                ran = _run(program, place, number, jobs, left, late=late)
                left = None if left is None else left - ran


def _run(
    program: str, place: Place, number: int, jobs: int, most: int | None, *, late: bool
) -> int:
    rival = PROGRAMS[program]
    done_before = {
        trial.pair
        for trial in read_trials()
        if (trial.program, trial.place, trial.number) == (program, place.name, number)
        and trial.row.error is None
        and not (late and trial.row.late)
    }
    pairs = [pair for pair in place.pairs if pair not in done_before][:most]
    if not pairs:
        return 0
    _say(f"{program}: {place.title}, run {number}, {len(pairs)} trials")

    def done(cell: CellResult) -> None:
        moment = datetime.now().astimezone().isoformat(timespec="minutes")
        load = round(os.getloadavg()[0], 1)
        row = replace(row_of(place.name, cell), ended=moment, load=load, jobs=jobs)
        _keep(Trial(program, number, row, cell.final_path_ms, rung_of(cell)), rival.digest)

    links = conditions_of({"delay": place.delay})
    report = HOME / "reports" / "runs" / program / place.name
    run_matrix(Plan(pairs, jobs, report, links=links, program=program_at(rival, place)), done)
    return len(pairs)


def program_at(rival: Rival, place: Place) -> ProgramFile:
    """The program file of one of `PROGRAMS` at `place`."""
    file = read_program_file(rival.file)
    if rival.name == OURS:  # else it is the scoreboard's; so it tells its rungs
        peers = (replace(peer, command=f"{peer.command} --json") for peer in file.peers)
        file = replace(file, peers=tuple(peers))
    return replace(placed(file, place.group), within=_WITHIN, settle=_SETTLE)


def rung_of(cell: CellResult) -> str | None:
    """How peer a of this project opened the path that the packets show, by its JSON; None: it told no such.

    It tells a relayed path also when it comes beside a direct one, and goes unused.
    """
    found = None
    for line in (cell.programs or {}).get("a", "").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") in {"path-established", "path-moved"}:
            method = str(event["method"])
            if (method in RELAYS) == (cell.path == Kind.RELAYED):
                found = method
    return found


def _keep(trial: Trial, digest: str) -> None:
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"digest": digest, **asdict(trial)}) + "\n")


def read_trials(path: Path | None = None) -> Iterator[Trial]:
    """The last result of each trial. Raises `LabError` for a file that holds something else."""
    path = path or KEPT
    digests = {name: rival.digest for name, rival in PROGRAMS.items()}
    found: dict[tuple[str, str, int, tuple[str, str]], Trial] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            values = json.loads(line)
            if values.pop("digest") == digests.get(values["program"]):
                trial = Trial.of(values)
                found[trial.program, trial.place, trial.number, trial.pair] = trial
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise LabError(f"{path} holds no results: {error!r}; remove it") from None
    yield from found.values()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
