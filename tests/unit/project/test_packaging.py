"""The things that are installed, pinned, deployed and run by CI agree with the code."""

from __future__ import annotations

import configparser
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import nat_traversal
from nat_traversal.cli.exit import Exit
from natlab.presets import PRESETS
from tests import ROOT

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
SUPPORTED = [
    found[1]
    for classifier in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier))
]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ["traversal_server.py"],
        ["traversal_client.py"],
        ["-m", "nat_traversal", "server"],
        ["-m", "nat_traversal", "client"],
    ],
    ids=" ".join,
)
def test_a_command_runs_from_a_checkout_that_is_not_installed(command: list[str]) -> None:
    # -S: without site-packages, so with neither the installed package nor any dependency
    run = subprocess.run(
        [sys.executable, "-S", "-E", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("usage:")


FOLDERS = {
    name: ROOT / folder for name, folder in PYPROJECT["tool"]["setuptools"]["package-dir"].items()
}


def folder_of(package: str) -> Path:
    top, *rest = package.split(".")
    folder: Path = FOLDERS[top].joinpath(*rest)
    return folder


def test_every_package_of_the_tree_is_in_the_wheel() -> None:
    names = {
        ".".join(path.parent.relative_to(folder.parent).parts)
        for folder in FOLDERS.values()
        for path in folder.rglob("__init__.py")
    }
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == names


def test_every_data_file_of_the_tree_is_in_the_wheel() -> None:
    declared = {
        path
        for package, globs in PYPROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in globs
        for path in folder_of(package).glob(pattern)
    }
    files = {path for top in FOLDERS.values() for path in top.rglob("*") if path.is_file()}
    assert declared == {path for path in files if path.suffix not in {".py", ".pyc"}}


def test_the_changelog_begins_with_what_is_unreleased_and_the_version_of_the_package() -> None:
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == f"Unreleased ({nat_traversal.__version__})"
    assert [
        each for each in headings[1:] if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", each)
    ] == []


def test_the_changelog_sorts_its_lines_under_the_usual_headings() -> None:
    usual = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for version in re.split(r"^## ", read("CHANGELOG.md"), flags=re.MULTILINE)[1:]:
        used = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert used == [heading for heading in usual if heading in used]
        before = version.partition("### ")[0]
        assert "\n- " not in before, "every line stands under a heading"


@pytest.mark.parametrize("target", PROJECT["scripts"].values())
def test_every_console_script_names_a_function(target: str) -> None:
    assert callable(pkgutil.resolve_name(target))


def test_every_tool_checks_for_the_oldest_supported_python() -> None:
    oldest = SUPPORTED[0]
    assert PROJECT["requires-python"] == f">={oldest}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    setup = read("scripts/setup.sh")
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in setup
    assert f"Python {oldest} or newer is needed" in setup


def workflow_list(key: str) -> Any:
    text = read(".github/workflows/ci.yml")
    (line,) = re.findall(rf"^ +{key}: (\[.*\])$", text, flags=re.MULTILINE)
    return json.loads(line)


def test_the_workflow_runs_every_preset() -> None:
    assert workflow_list("nat_a") == list(PRESETS)


def test_the_workflow_runs_every_supported_python() -> None:
    assert workflow_list("python") == SUPPORTED


def test_the_workflow_runs_the_oldest_debian_that_is_promised() -> None:
    (promised,) = re.findall(r"On Debian (\d+) or newer", read("CONTRIBUTING.md"))
    assert f"docker.io/library/debian:{promised}-slim" in read(".github/workflows/ci.yml")


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), ROOT / "action.yml"],
    ids=lambda it: it.name,
)
def test_every_action_is_pinned_to_a_commit_and_says_its_version(path: Path) -> None:
    uses = re.findall(r"uses: *(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert uses
    assert not [
        each
        for each in uses
        if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\$/ # this repository.*", each)
    ]


@pytest.mark.parametrize(
    "path",
    [
        ".ci/run",
        ".github/workflows/ci.yml",
        ".github/workflows/nightly.yml",
        "scripts/provision.sh",
        "CONTRIBUTING.md",
    ],
)
def test_every_make_target_that_is_called_exists(path: str) -> None:
    targets = set(re.findall(r"(?:run: |^ *|step |`)make ([a-z-]+)", read(path), re.MULTILINE))
    assert targets
    assert targets <= set(described_targets())


def described_targets() -> dict[str, str]:
    """The Makefile's targets that have a description, by name."""
    return dict(re.findall(r"^([a-z-]+):.*?## (.+)$", read("Makefile"), re.MULTILINE))


def test_make_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)
    defined = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    assert sorted(phony.split()) == sorted(defined) == sorted(described_targets())
    said = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = [line.split(maxsplit=2) for line in said.splitlines()]
    assert {name: words for _, name, words in listed} == described_targets()


def test_the_hooks_before_a_commit_are_what_make_check_does() -> None:
    recipe = re.findall(r"^check:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)[0]
    wanted = [
        line.strip().lstrip("@").replace("$(python)", ".venv/bin/python")
        for line in recipe.splitlines()
    ]
    hooks = re.findall(r"^ +entry: (.+)$", read(".pre-commit-config.yaml"), re.MULTILINE)
    assert hooks == wanted


@pytest.mark.parametrize(
    ("form", "command"),
    [("lab", "natlab doctor"), ("lab", "nat-traversal --version"),
     ("connection", "nat-traversal --version"), ("connection", "--json")],
)  # fmt: skip
def test_an_issue_form_asks_for_what_helps(form: str, command: str) -> None:
    text = read(f".github/ISSUE_TEMPLATE/{form}.yml")
    asked = re.split(r"^  - type: ", text, flags=re.MULTILINE)
    (found,) = [each for each in asked if f"`{command}`" in each]
    assert "required: true" in found
    assert any("id: pcap\n" in each for each in asked)


@pytest.mark.parametrize(
    "unit", sorted((ROOT / "deploy").glob("*.service")), ids=lambda it: it.name
)
def test_units_start_again_on_every_failure_but_wrong_usage(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert "Restart=on-failure" in lines
    (prevented,) = [line for line in lines if line.startswith("RestartPreventExitStatus=")]
    assert prevented == f"RestartPreventExitStatus={Exit.USAGE.value}"


@pytest.mark.parametrize(
    "unit", sorted((ROOT / "deploy").glob("*.service")), ids=lambda it: it.name
)
def test_a_systemd_unit_starts_an_installed_script(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.read(unit)
    program = Path(parser["Service"]["ExecStart"].split()[0])
    assert (ROOT / "bin" / program.name).is_file()
    families = {"AF_INET", "AF_INET6"}
    if parser["Service"]["Type"] == "notify":
        families |= {"AF_UNIX"}
    if "client" in unit.name:
        families |= {"AF_NETLINK"}  # the kernel's word that the network has changed
    assert set(parser["Service"]["RestrictAddressFamilies"].split()) == families
