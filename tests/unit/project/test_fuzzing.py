"""`make fuzz` finds what a usual run is too short for, and covers decoders and machines."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

_TARGET = """
from hypothesis import given, strategies as st
from tests.seeds import seeds

@given(st.integers(0, 2**64))
def test_it(number):
    with open("examples", "a") as log:
        log.write("x")

@seeds(2)
def test_world(seed):
    with open("seeds", "a") as log:
        log.write("x")

def test_that_is_no_fuzz_target():
    raise AssertionError
"""


def fuzz_command() -> list[str]:
    """What `make fuzz` runs, without its targets."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(
        r"^\t@\$\(python\) (-m pytest -p tests\.fuzzing .*)$", makefile, re.MULTILINE
    )
    return [word for word in shlex.split(line) if word not in {"$(FUZZ_ARGS)", *targets()}]


def targets() -> tuple[str, ...]:
    return ("tests/unit", "tests/sim")


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *fuzz_command(), "-n", "0", "-p", "no:cacheprovider", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/lab"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_the_budget_reaches_the_property_tests_and_only_these(tmp_path: Path) -> None:
    (tmp_path / "test_target.py").write_text(_TARGET)
    done = run("--fuzz-examples", "321", "--fuzz-seeds", "7", "test_target.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "examples").read_text() == 321 * "x"
    assert (tmp_path / "seeds").read_text() == 2 * 7 * "x"


@pytest.mark.long
def test_every_decoder_and_both_machines_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"-n auto {' '.join(targets())} $(FUZZ_ARGS)" in makefile
    done = run(
        "--collect-only",
        "-q",
        *(f"tests/unit/wire/test_{name}.py" for name in ("control", "datagrams", "endpoint")),
        "tests/sim/test_fuzz.py",
        "tests/sim/test_chaos.py",
        cwd=ROOT,
    )
    for target in (
        "tests/unit/wire/test_control.py::test_noise_raises_nothing_but_wire_error",
        "tests/unit/wire/test_datagrams.py::test_noise_behind_a_kind_raises_nothing_but_wire_error",
        "tests/unit/wire/test_endpoint.py::test_any_text_parses_or_raises_usage_error",
        "tests/sim/test_fuzz.py::test_a_pair_recovers_from_faults_in_any_order",
        "tests/sim/test_chaos.py::test_pair_recovers_from_any_sequence_of_faults[199]",
    ):
        assert target in done.stdout, done.stdout + done.stderr
