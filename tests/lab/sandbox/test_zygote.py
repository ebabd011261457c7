"""A prepared Python program is like one that was started: namespaces, streams, end."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from natlab.programs.programs import Programs
from natlab.sandbox.zygote import Prepared, preload
from tests.lab import warm

_TIMEOUT = 40.0
_ARGV = (sys.executable, "-m", "tests.lab.programs.tell_all")
Ended = tuple[int, list[str], list[str]]


def _run(directory: Path, prepare: bool, *words: str) -> Ended:
    from natlab.network.nodes import LabNode

    preload("json")
    node = LabNode("node", addresses={})
    node.wait_until_held()
    with Prepared() as prepared, Programs(directory) as programs:
        program = programs.start(
            "program",
            [*_ARGV, *words],
            node.pid,
            environment={"TOLD": "so"},
            prepared=prepared if prepare else None,
        )
        if words == ("wait",):
            program.wait_for_line("waiting", timeout=20)
            program.signal(signal.SIGTERM)
        status = program.wait(timeout=20)
        out, err = ([line.text for line in program.lines(s)] for s in ("stdout", "stderr"))
    node.end()
    return status, out, err


def _started_and_prepared(directory: Path, *words: str) -> tuple[Ended, Ended]:
    """Both in one sandbox, so that they can be compared."""
    directories = [directory / name for name in ("started", "prepared")]
    for each in directories:
        each.mkdir()
    started, prepared = (_run(each, bool(n), *words) for n, each in enumerate(directories))
    return started, prepared


def test_it_sees_what_a_started_one_sees(tmp_path: Path) -> None:
    started, prepared = warm.call(_TIMEOUT, _started_and_prepared, tmp_path, "a", "b c")
    seen: list[dict[str, Any]] = [json.loads(out[0]) for _, out, _ in (started, prepared)]
    for one in seen:
        del one["spaces"]  # `test_it_is_on_the_node`
    # mnexec leaves open what it entered the node by
    assert [one.pop("more files") for one in seen][1] == 0
    assert seen[0] == seen[1]
    assert seen[1]["argv"] == ["a", "b c"]
    assert (seen[1]["name"], seen[1]["told"], seen[1]["stdin"]) == ("__main__", "so", "")


def test_it_is_on_the_node(tmp_path: Path) -> None:
    seen, node = warm.call(_TIMEOUT, _namespaces, tmp_path)
    assert seen == node


def _namespaces(directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    from natlab.network.nodes import LabNode

    node = LabNode("node", addresses={})
    node.wait_until_held()
    with Prepared() as prepared, Programs(directory) as programs:
        program = programs.start("program", _ARGV, node.pid, prepared=prepared)
        program.wait(timeout=20)
        seen = json.loads(program.lines("stdout")[0].text)["spaces"]
    return seen, {kind: str(Path(f"/proc/{node.pid}/ns/{kind}").readlink()) for kind in seen}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((), 0),
        (("status", "3"), 3),
        (("status", "259"), 3),
        (("say", "that was all"), 1),
        (("raise",), 1),
        (("wait",), -signal.SIGTERM),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_it_ends_as_a_started_one_ends(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    started, prepared = warm.call(_TIMEOUT, _started_and_prepared, tmp_path, *words)
    assert started[0] == prepared[0] == status
    assert started[1][1:] == prepared[1][1:]
    # a traceback has other lines above the program's own
    assert (started[2][0], started[2][-1]) == (prepared[2][0], prepared[2][-1])


def test_one_that_nobody_needs_ends_with_its_block() -> None:
    warm.call(_TIMEOUT, _prepare_in_vain)


def _prepare_in_vain() -> None:
    with Prepared() as first, Prepared() as second:
        children = {first.pid, second.pid}
        assert children <= _running()
    assert not children & _running()


def _running() -> set[int]:
    return {int(path.name) for path in Path("/proc").glob("[0-9]*")}
