"""What the sdist and the wheel hold, and that the wheel's commands start where it alone is installed."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import ROOT
from tests.installing import build, install, pip


def names_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sources() -> set[str]:
    """Every file of both packages in the checkout, by its path in the wheel."""
    folders = {"nat_traversal": ROOT / "nat_traversal", "natlab": ROOT / "lab" / "natlab"}
    return {
        f"{package}/{path.relative_to(folder)}"
        for package, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.builds
def test_the_distributions_hold_both_packages_and_nothing_else_at_the_top(tmp_path: Path) -> None:
    built = build(tmp_path)

    names = names_of(built.wheel)
    tops = {name.split("/")[0] for name in names}
    info = built.wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    data = info.replace(".dist-info", ".data")
    assert tops == {"nat_traversal", "natlab", info, data}
    commands = {f"{data}/scripts/{path.name}" for path in (ROOT / "bin").iterdir()}
    assert {name for name in names if not name.startswith(info)} == sources() | commands
    assert {"nat_traversal/py.typed", "natlab/py.typed"} <= names
    assert f"{info}/licenses/LICENSE" in names

    with tarfile.open(built.sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= inside
    assert {name.replace("natlab/", "lab/natlab/", 1) for name in sources()} <= inside

    python = install(built.wheel, tmp_path / "clean")
    for command in ("nat-traversal", "traversal-server", "traversal-client", "natlab"):
        usage = subprocess.run(
            [python.with_name(command), "--help"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (usage.returncode, usage.stderr) == (0, "")
        assert usage.stdout.startswith(f"usage: {command} ")
    check = subprocess.run(pip(python, "check"), capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout) == (0, "No broken requirements found.\n")
