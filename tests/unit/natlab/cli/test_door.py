"""How the lab is started, and what it says where its packages are not installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from natlab import __main__ as door
from natlab.cli.arguments import program_name
from natlab.cli.main import main
from natlab.cli.status import Exit
from natlab.presets import PRESETS, REAL_WORLD
from tests import ROOT


def run(*arguments: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bare_checkout_says_in_one_line_how_to_set_up() -> None:
    # -S: without site-packages, so without any dependency
    done = run("-S", "-m", "lab", "matrix", cwd=ROOT)
    assert (done.returncode, done.stdout) == (Exit.UNAVAILABLE, "")
    assert done.stderr == (
        "error: the lab needs the Python package rich: "
        f"make -C {ROOT} setup, then use {ROOT}/.venv/bin/python\n"
    )


def test_an_installation_without_the_extra_says_in_one_line_how_to_get_it(tmp_path: Path) -> None:
    done = run("-S", "-m", "natlab", "doctor", cwd=tmp_path, path=f"{ROOT}/lab:{ROOT}")
    assert (done.returncode, done.stdout) == (Exit.UNAVAILABLE, "")
    assert done.stderr == (
        "error: the lab needs the Python package rich: pip install 'nat-traversal[lab]'\n"
    )


def test_a_missing_module_of_the_lab_itself_is_not_taken_for_a_missing_package(
    tmp_path: Path,
) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").touch()
    broken = "import nonesuch"
    (tmp_path / "rich" / "console.py").write_text(broken)
    path = f"{ROOT}/lab:{ROOT}:{tmp_path}"
    done = run("-S", "-m", "natlab", "doctor", cwd=tmp_path, path=path)
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'nonesuch'\n")


INTERRUPT_AT_AN_IMPORT = """
import signal, sys
class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == "{module}":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""
"""A `sitecustomize` that presses Ctrl-C at the import of a module."""


@pytest.mark.parametrize("door_of", ["lab", "natlab"])
@pytest.mark.parametrize("module", ["natlab.errors", "natlab.presets", "natlab.cli.matrix"])
def test_ctrl_c_while_a_command_starts_shows_no_traceback(
    door_of: str, module: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT_AT_AN_IMPORT.format(module=module))
    path = f"{tmp_path}:{ROOT}/lab:{ROOT}"
    done = run("-m", door_of, "matrix", "--help", cwd=ROOT, path=path)
    assert (done.returncode, done.stdout, done.stderr) == (Exit.INTERRUPTED, "", "")


def test_the_door_and_the_command_line_agree_on_the_exit_status() -> None:
    assert door.UNAVAILABLE == Exit.UNAVAILABLE
    assert door.INTERRUPTED == Exit.INTERRUPTED


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("/usr/bin/natlab", "natlab"),
        ("/checkout/lab/__main__.py", "python -m lab"),
        ("/site-packages/natlab/__main__.py", "python -m natlab"),
    ],
)
def test_usage_names_the_lab_as_the_user_started_it(started: str, name: str) -> None:
    assert program_name(started) == name


@pytest.mark.parametrize("command", [("-m", "lab"), ("-m", "natlab")], ids=" ".join)
def test_each_door_leads_to_the_same_command_line(command: tuple[str, str]) -> None:
    rules = run(*command, "rules", "none", cwd=ROOT)
    usage = run(*command, "--help", cwd=ROOT)
    assert rules.stdout.startswith("# none: ")
    assert usage.stdout.startswith(f"usage: python {' '.join(command)} ")
    assert (rules.returncode, rules.stderr, usage.returncode) == (0, "", 0)


@pytest.mark.parametrize("command", [(), ("matrix",), ("run",), ("rules",), ("topology",)])
def test_the_help_names_every_nat_and_says_how_ids_are_written(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert main([*command, "--help"]) == Exit.OK
    said = " ".join(capsys.readouterr().out.split())
    forms = ("EIM|ADM|APDM", "EIF|ADF|APDF", "hairpin-external-source")
    for name in (*PRESETS, *REAL_WORLD, *forms):
        assert name in re.sub(r"- ", "-", said).replace("| ", "|"), name
