"""constraints.txt holds for every supported Python, not only for the one that runs the tests.

The metadata of the installed packages tell what they need, so each Python that CI runs proves its own part.
"""

from __future__ import annotations

import platform
import re
import tomllib
from functools import cache
from importlib import metadata
from itertools import chain
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests import ROOT

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
SUPPORTED = re.findall(r":: Python :: (3\.\d+)(?= |$)", "  ".join(PROJECT["classifiers"]))
PYTHONS = [f"{minor}.{micro}" for minor in SUPPORTED for micro in range(16)]
"""Packages draw lines between bug fix releases too: what asyncio lacked came with 3.11.3."""


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    texts = chain(PROJECT["dependencies"], PYPROJECT["build-system"]["requires"], *extras)
    parsed = [Requirement(text) for text in texts]
    return [requirement for requirement in parsed if requirement.name != PROJECT["name"]]


@cache
def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if not line.startswith("#")]
    by_name = {str(canonicalize_name(pin.name)): pin for pin in parsed}
    assert len(by_name) == len(parsed), "a package has two pins"
    return by_name


def version(pin: Requirement) -> str:
    (only,) = pin.specifier
    assert only.operator == "=="
    return only.version


def applies(requirement: Requirement, python: str, extra: str = "") -> bool:
    environment = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "extra": extra,
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


@cache
def needs(name: str) -> list[Requirement]:
    """What an installed package needs; nothing where this Python has no use for the package."""
    try:
        return [Requirement(text) for text in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:
        return []


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_pinned_to_a_release_that_it_admits(requirement: Requirement) -> None:
    pinned = version(pins()[canonicalize_name(requirement.name)])
    assert requirement.specifier.contains(pinned, prereleases=True)


@pytest.mark.parametrize("python", PYTHONS)
def test_what_the_pinned_packages_stand_on_is_pinned_too(python: str) -> None:
    pinned = {name for name, pin in pins().items() if applies(pin, python)}
    seen: set[tuple[str, str]] = set()
    todo = [each for each in requirements() if applies(each, python)]
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            todo += [need for need in needs(name) if applies(need, python, extra)]
    assert {name for name, _ in seen} <= pinned


def used_here() -> list[str]:
    return [name for name, pin in pins().items() if applies(pin, platform.python_version())]


@pytest.mark.parametrize("name", used_here())
def test_every_pin_installs_on_every_supported_python_that_needs_it(name: str) -> None:
    pin = pins()[name]
    assert metadata.version(name) == version(pin), "run `make setup` first"
    (said,) = metadata.metadata(name).get_all("Requires-Python", [""])
    admitted = SpecifierSet(said)
    assert not [each for each in PYTHONS if applies(pin, each) and each not in admitted]


def test_make_lock_pins_for_the_oldest_supported_python() -> None:
    (oldest,) = re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())
    assert oldest == PYTHONS[0]
    assert PROJECT["requires-python"] == f">={SUPPORTED[0]}"
