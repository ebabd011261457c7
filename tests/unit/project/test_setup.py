"""scripts/setup.sh, on machines of which only a few programs are real."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from natlab.cli import doctor
from natlab.cli.doctor import Need
from tests import ROOT

SETUP = (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")
SYSTEMS_OWN = "/usr/bin/python3"

PYTHON = """
echo "$*" >>"${LOG:-/dev/null}"
case "$*" in
  -V) echo Python VERSION ;;
  *version_info\\ \\<*) exit OLD ;;
  *import\\ ensurepip) [ -e "$0.pip" ] ;;
  *import\\ pip) [ -e "$0.pip" ] ;;
  *version_info\\[*) echo pythonMINOR-venv ;;
  -m\\ venv*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0.pip" .venv/bin/python.pip ;;
esac
"""
"""Plays a Python: answers what the set-up asks, and puts a copy of itself into .venv."""


class Machine:
    """A copy of the set-up's files, in a tree that has what the test puts there."""

    def __init__(self, path: Path) -> None:
        self.checkout = path / "checkout"
        self.programs = path / "bin"
        self.systems_own = path / SYSTEMS_OWN.lstrip("/")
        for folder in (self.checkout / "scripts", self.programs, self.systems_own.parent):
            folder.mkdir(parents=True)
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.checkout / name)
        assert SYSTEMS_OWN in SETUP
        setup = SETUP.replace(SYSTEMS_OWN, str(self.systems_own))
        (self.checkout / "scripts" / "setup.sh").write_text(setup)
        for name in ("bash", "cat", "cp", "dirname", "mkdir", "sha256sum", "sort", "tail", "touch"):
            program = shutil.which(name)
            assert program is not None
            (self.programs / name).symlink_to(program)

    def add(self, name: str, script: str) -> Path:
        program = self.programs / name
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
        return program

    def add_python(self, version: str, path: Path | None = None, *, pip: bool = True) -> Path:
        """One in PATH, or at `path`."""
        program = self.add("python3", "") if path is None else path
        minor = ".".join(version.split(".")[:2])
        old = int(minor in {"3.9", "3.10"})
        script = PYTHON.replace("VERSION", version).replace("MINOR", minor).replace("OLD", str(old))
        program.write_text(f"#!/bin/bash\n{script}")
        program.chmod(0o755)
        if pip:
            Path(f"{program}.pip").touch()
        return program

    def let_a_user_install(self, effect: str) -> None:
        """One who may call sudo without a password; the packages have `effect`."""
        self.add("id", "echo 1000")
        self.add("apt-get", "exit 99")
        self.add("sudo", f'[ "$1" = -n ] || {{ {effect}; }}')

    def setup(self, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / "bash", "scripts/setup.sh", target],
            cwd=self.checkout,
            env={"PATH": str(self.programs), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def chosen(self, **environment: str) -> str:
        """The Python of which a set-up says that it makes .venv, and of which it makes that."""
        run = self.setup("check", **environment)
        assert run.returncode == 0, run.stderr
        (python,) = re.findall(r"making \.venv with Python [\d.]+, ([^;\n]+)", run.stderr)
        made = (self.checkout / ".venv" / "bin" / "python").read_text()
        assert made == Path(python).read_text()
        return str(python)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_root_it_says_in_one_line_what_to_install(machine: Machine) -> None:
    machine.add("id", "echo 1000")
    machine.add("apt-get", "exit 99")
    machine.add("python3", "exit 0")
    lab = machine.setup("lab")
    assert lab.returncode == 1
    assert lab.stderr.startswith("setup: run this, then make again: sudo apt-get install ")
    assert lab.stderr.count("\n") == 1
    assert "mininet" in lab.stderr.split()
    assert "coturn" not in lab.stderr.split()
    test = machine.setup("test")
    assert test.returncode == 1
    packages, _, services = test.stderr.partition(" && sudo systemctl disable --now ")
    # Debian's stund is in /usr/sbin, where the set-up looks too.
    wanted = [("coturn", "coturn"), ("stun-server", "stun"), ("redis-server", "redis-server")]
    assert services.split() == [name for package, name in wanted if package in packages.split()]
    assert services.startswith("coturn")


def test_a_python_that_is_too_old_is_named_with_the_way_out(machine: Machine) -> None:
    old = machine.add("old-python", "[ $1 = -V ] && echo Python 3.9.2 && exit; exit 1")
    run = machine.setup("check", PYTHON=str(old))
    assert run.returncode == 1
    assert run.stderr == (
        f"setup: Python 3.11 or newer is needed, but {old} is Python 3.9.2: "
        "install a newer one and name it, as in: make PYTHON=/path/to/python3.13\n"
    )


def test_the_systems_own_python_comes_before_another_in_path(machine: Machine) -> None:
    machine.add_python("3.13.1")
    own = machine.add_python("3.11.2", machine.systems_own)
    run = machine.setup("check")
    assert run.stderr.splitlines() == [
        f"setup: making .venv with Python 3.11.2, {own}; another: make PYTHON=/path/to/python3",
        "setup: installing the pinned Python packages",
    ]
    assert (machine.checkout / ".venv" / "bin" / "python").read_text() == own.read_text()


@pytest.mark.parametrize("sign", ["VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_VERSION"])
def test_the_python_of_an_active_environment_comes_first(machine: Machine, sign: str) -> None:
    other = machine.add_python("3.13.1")
    machine.add_python("3.11.2", machine.systems_own)
    assert machine.chosen(**{sign: "/some/where"}) == str(other)


def test_the_python_that_pyenv_holds_for_the_checkout_comes_first(machine: Machine) -> None:
    other = machine.add_python("3.13.1")
    machine.add_python("3.11.2", machine.systems_own)
    (machine.checkout / ".python-version").touch()
    assert machine.chosen() == str(other)


def test_an_active_environment_that_is_too_old_stops_nobody(machine: Machine) -> None:
    machine.add_python("3.9.2")
    own = machine.add_python("3.11.2", machine.systems_own)
    assert machine.chosen(VIRTUAL_ENV="/some/where") == str(own)


def test_the_python_that_is_named_comes_before_all(machine: Machine) -> None:
    machine.add_python("3.11.2", machine.systems_own)
    machine.add_python("3.13.1")
    named = machine.add_python("3.12.1", machine.programs / "named python")
    assert machine.chosen(PYTHON=str(named), VIRTUAL_ENV="/some/where") == str(named)


@pytest.mark.parametrize("system", [None, "3.9.2"], ids=["none", "too old"])
def test_without_a_systems_own_that_is_new_enough_another_serves(
    machine: Machine, system: str | None
) -> None:
    if system is not None:
        machine.add_python(system, machine.systems_own)
    other = machine.add_python("3.12.1")
    assert machine.chosen() == str(other)


def test_a_systems_own_without_pip_gets_it_where_that_may_be_installed(machine: Machine) -> None:
    own = machine.add_python("3.11.2", machine.systems_own, pip=False)
    machine.add_python("3.13.1")
    machine.let_a_user_install(
        f'[ "$*" = "bash scripts/setup.sh --install python3.11-venv" ] && touch {own}.pip'
    )
    assert machine.chosen() == str(own)


def test_a_systems_own_without_pip_is_left_for_another_where_nobody_may_install(
    machine: Machine,
) -> None:
    machine.add_python("3.11.2", machine.systems_own, pip=False)
    other = machine.add_python("3.13.1")
    machine.add("id", "echo 1000")
    machine.add("apt-get", "exit 99")
    assert machine.chosen() == str(other)


def test_without_another_it_says_which_package_has_pip(machine: Machine) -> None:
    machine.add_python("3.11.2", machine.systems_own, pip=False)
    machine.add("id", "echo 1000")
    machine.add("apt-get", "exit 99")
    run = machine.setup("check")
    assert run.returncode == 1
    assert run.stderr == (
        "setup: run this, then make again: "
        "sudo apt-get install --no-install-recommends python3.11-venv\n"
    )


def test_a_machine_without_any_python_gets_one(machine: Machine) -> None:
    kept = machine.add_python("3.11.2", machine.checkout / "kept")
    machine.let_a_user_install(
        '[ "$*" = "bash scripts/setup.sh --install python3-venv" ] && '
        f"cp {kept} {machine.systems_own} && touch {machine.systems_own}.pip"
    )
    assert machine.chosen() == str(machine.systems_own)


def installs(machine: Machine, **environment: str) -> tuple[int, int]:
    """How many environments a set-up makes, and how often it asks pip to install."""
    log = machine.checkout / "log"
    log.write_text("")
    assert machine.setup("check", LOG=str(log), **environment).returncode == 0
    said = log.read_text()
    return said.count("-m venv "), said.count("-m pip ")


def test_a_second_run_installs_nothing_until_a_pin_changes(machine: Machine) -> None:
    machine.add_python("3.12.1")
    assert installs(machine) == (1, 2)
    assert installs(machine) == (0, 0)
    with (machine.checkout / "constraints.txt").open("a") as constraints:
        constraints.write("# changed\n")
    assert installs(machine) == (0, 2)
    assert installs(machine) == (0, 0)


def test_an_environment_stays_until_another_python_is_named(machine: Machine) -> None:
    machine.add_python("3.12.1")
    one = str(machine.add_python("3.13.1", machine.programs / "one"))
    two = str(machine.add_python("3.14.1", machine.programs / "two"))
    assert installs(machine, PYTHON=one) == (1, 2)
    machine.add_python("3.11.2", machine.systems_own)
    assert installs(machine) == (0, 0)
    assert installs(machine, VIRTUAL_ENV="/some/where") == (0, 0)
    assert installs(machine, PYTHON=one) == (0, 0)
    assert installs(machine, PYTHON=two) == (1, 2)
    with (machine.checkout / "constraints.txt").open("a") as constraints:
        constraints.write("# changed\n")
    assert installs(machine) == (0, 2)
    assert installs(machine, PYTHON=two) == (0, 0)


def test_an_environment_that_is_there_needs_no_package_of_debian(machine: Machine) -> None:
    own = machine.add_python("3.11.2", machine.systems_own)
    machine.add("id", "echo 1000")
    machine.add("apt-get", "exit 99")
    assert installs(machine) == (1, 2)
    Path(f"{own}.pip").unlink()
    with (machine.checkout / "constraints.txt").open("a") as constraints:
        constraints.write("# changed\n")
    assert installs(machine) == (0, 2)


def test_an_environment_whose_making_was_interrupted_is_made_anew(machine: Machine) -> None:
    own = machine.add_python("3.11.2", machine.systems_own)
    (machine.checkout / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(own, machine.checkout / ".venv" / "bin" / "python")
    assert machine.chosen() == str(own)


def test_setup_installs_for_each_target_what_the_doctor_says_it_needs() -> None:
    targets = {
        Need.LAB: {"lab", "test", "bench"},
        Need.TESTS: {"test"},
        Need.BENCH: {"bench"},
    }
    (table,) = re.findall(r"^programs='\n(.*?)^'", SETUP, re.DOTALL | re.MULTILINE)
    installed = {}
    for row in table.splitlines():
        program, package, *words = row.split()
        installed[program] = (package, set(words))
    looked_for = {
        finding.subject: (finding.remedy.split()[-1], targets[finding.need])
        for finding in doctor.programs(which=lambda _: None)
        if finding.need is not Need.NOTHING
    }
    for program, (package, wanted) in looked_for.items():
        found, wanted_by = installed[program]
        assert found == package
        assert wanted <= wanted_by
