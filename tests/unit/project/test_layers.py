"""Who may import whom (`docs/architecture.md`), read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

PACKAGE = ROOT / "nat_traversal"
ABOVE_THE_CORE = {
    "aio", "cli", "client_command", "console", "exit", "server_command", "__main__", "__init__",
}  # fmt: skip
CORE = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in ABOVE_THE_CORE
)
FORBIDDEN = {
    "asyncio", "concurrent", "multiprocessing", "os", "select", "selectors", "signal", "socket",
    "socketserver", "ssl", "subprocess", "sys", "threading", "time", "datetime", "secrets",
}  # fmt: skip
"""What brings I/O, a clock, threads or chance of its own."""
LOWER = {"errors", "endpoint", "behavior", "limits", "wire", "timers", "transitions", "events"}
CLIENT = {"agent", "announcer", "control_link", "handshake", "path", "puncher"}
SERVER = {"rendezvous", "session"}
LAB_MAY_USE = {"behavior", "endpoint", "errors", "wire"}


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` imports, wherever in the file, with its full name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_of_package(path: Path) -> set[str]:
    """The parts of `nat_traversal` that `path` imports."""
    names = (name.split(".") for name in imports(path))
    return {name[1] for name in names if name[0] == "nat_traversal" and len(name) > 1}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_core_is_what_it_should_be() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in CORE}
    assert parts == LOWER | CLIENT | SERVER


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_has_no_clock_no_socket_no_threads(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & FORBIDDEN


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_takes_chance_only_from_its_caller(path: Path) -> None:
    """`random.Random` as a type is all that it may use of the module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
    }
    assert used <= {"Random"}
    assert not any(name.startswith("random.") for name in imports(path))
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert not any(isinstance(func, ast.Attribute) and func.attr == "Random" for func in calls)


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_imports_nothing_above_it(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = set(LOWER)
    if part in CLIENT:
        allowed |= CLIENT
    if part in SERVER:
        allowed |= SERVER
    assert parts_of_package(path) <= allowed


def test_lowest_layer_is_the_lowest() -> None:
    expected: dict[str, set[str]] = {
        "errors": set(),
        "endpoint": {"errors"},
        "behavior": {"errors"},
        "limits": set(),
        "timers": set(),
        "transitions": {"errors"},
    }
    for part, allowed in expected.items():
        assert parts_of_package(PACKAGE / f"{part}.py") <= allowed, part
    for path in sources("nat_traversal/wire"):
        assert parts_of_package(path) <= {"errors", "endpoint", "wire"}, path


def test_client_and_server_never_import_each_other() -> None:
    for part in CLIENT:
        assert not parts_of_package(PACKAGE / f"{part}.py") & SERVER, part
    for part in SERVER:
        assert not parts_of_package(PACKAGE / f"{part}.py") & CLIENT, part


@pytest.mark.parametrize("path", sources("nat_traversal"), ids=name_of)
def test_package_imports_neither_lab_nor_what_the_lab_needs(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    assert not tops & {"lab", "topologies", "tests", "mininet", "scapy", "rich", "jinja2"}


@pytest.mark.parametrize("path", sources("lab", "topologies"), ids=name_of)
def test_lab_imports_only_the_vocabulary(path: Path) -> None:
    assert parts_of_package(path) <= LAB_MAY_USE
    assert "nat_traversal" not in imports(path)


@pytest.mark.parametrize("path", sources("lab", "topologies"), ids=name_of)
def test_mininet_and_scapy_have_their_places(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    place = path.relative_to(ROOT)
    if "mininet" in tops:
        assert place == Path("lab/natlab/network/network.py") or place.parts[0] == "topologies"
    if "scapy" in tops:
        assert place == Path("lab/natlab/capture/taps.py")


def test_rule_generator_is_pure() -> None:
    tops = {name.split(".")[0] for name in imports(ROOT / "lab/natlab/nat/rules.py")}
    assert not tops & (FORBIDDEN | {"mininet", "scapy", "shutil", "pathlib"})
