"""Which room may import which (`docs/architecture.md`), and which modules are pure: read from the source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from scripts import rooms as source
from scripts.rooms import Graph, cycles, room_of
from tests import ROOT

FOLDERS = {"nat_traversal": ROOT / "nat_traversal", "natlab": ROOT / "lab" / "natlab"}
MODULES = sorted(path for folder in FOLDERS.values() for path in folder.rglob("*.py"))

MAY_IMPORT: dict[str, dict[str, set[str]]] = {
    "nat_traversal": {
        "errors": set(),
        "access": {"errors", "wire", "crypto"},
        "settings": {"errors", "arguments"},
        "arguments": {"errors"},
        "tls": {"errors"},
        "wire": {"errors"},
        "crypto": {"errors", "wire"},
        "machine": {"errors", "wire", "crypto"},
        "paths": {"errors", "settings", "wire", "crypto", "machine"},
        "client": {"errors", "settings", "wire", "crypto", "machine", "paths"},
        "server": {"errors", "access", "settings", "wire", "crypto", "machine"},
        "check": {"errors", "settings", "wire", "paths"},
        "aio": {
            "errors", "access", "settings", "tls", "wire", "crypto", "machine", "paths", "client", "server", "check",
        },
        "cli": {
            "errors", "access", "settings", "arguments", "tls", "wire", "crypto", "machine", "client", "check", "aio",
        },
    },
    "natlab": {
        "errors": set(),
        "behavior": set(),
        "presets": {"behavior"},
        "oracle": {"behavior", "presets"},
        "sandbox": {"errors"},
        "capture": {"errors", "sandbox"},
        "bench": {"errors", "sandbox"},
        "nat": {"errors", "behavior", "presets", "sandbox"},
        "programs": {"errors", "sandbox"},
        "evidence": {"errors", "behavior", "presets", "capture", "oracle"},
        "network": {"errors", "presets", "nat", "sandbox"},
        "links": {"errors", "network", "sandbox"},
        "topologies": {"errors", "presets", "nat", "network"},
        "faults": {"errors", "presets", "nat", "network", "programs", "sandbox"},
        "report": {"errors", "behavior", "presets", "capture", "evidence", "oracle"},
        "probe": {"errors", "behavior", "presets", "nat", "network", "sandbox", "topologies"},
        "testbed": {
            "errors", "behavior", "presets", "capture", "evidence", "faults", "links", "nat", "network", "probe",
            "programs", "report", "sandbox", "topologies",
        },
        "matrix": {
            "errors", "capture", "evidence", "links", "nat", "network", "oracle", "probe", "programs",
            "report", "sandbox", "testbed", "topologies",
        },
        "cli": {
            "errors", "behavior", "presets", "bench", "faults", "links", "matrix", "nat", "network", "probe",
            "programs", "report", "sandbox", "testbed", "topologies",
        },
    },
}  # fmt: skip
"""Each room, and the rooms that it may import. A new room is entered here and in the architecture page."""

MACHINES = {
    "errors",
    "access",
    "settings",
    "tls",
    "wire",
    "crypto",
    "machine",
    "paths",
    "client",
    "server",
    "check",
}
"""Rooms of `nat_traversal` without I/O, clock, threads or chance of their own."""
IMPURE = {
    "asyncio", "concurrent", "fcntl", "multiprocessing", "os", "pathlib", "select", "selectors",
    "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "datetime", "secrets", "mininet", "scapy",
}  # fmt: skip
LAB_MAY_USE = {"errors", "arguments", "wire"}


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(source.imports(path))


@cache
def rooms(folder: Path) -> Graph:
    return source.rooms(folder)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room(path: Path) -> tuple[str, str]:
    """The package and the room of a module."""
    for package, folder in FOLDERS.items():
        if path.is_relative_to(folder):
            return package, path.relative_to(folder).parts[0].removesuffix(".py")
    raise AssertionError(path)


def says_pure(path: Path) -> bool:
    """Whether the module's docstring claims it."""
    text = ast.get_docstring(syntax(path)) or ""
    return "Pure" in text.split("\n\n", maxsplit=1)[0]


def is_machine(path: Path) -> bool:
    package, name = room(path)
    return package == "nat_traversal" and name in MACHINES


PURE = [path for path in MODULES if says_pure(path) or is_machine(path)]


@cache
def tops(path: Path) -> frozenset[str]:
    return frozenset(name.split(".")[0] for name in imports(path))


@pytest.mark.parametrize("package", FOLDERS)
def test_rooms_are_those_of_the_table_and_on_no_cycle(package: str) -> None:
    graph = rooms(FOLDERS[package])
    assert set(graph) == set(MAY_IMPORT[package])
    assert cycles(graph) == []


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in MAY_IMPORT for name in MAY_IMPORT[package]]
)
def test_room_imports_only_what_the_table_allows(package: str, name: str) -> None:
    assert rooms(FOLDERS[package])[name] - MAY_IMPORT[package][name] == set()


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_pure_module_has_no_clock_no_socket_no_files_no_threads(path: Path) -> None:
    used = set(imports(path)) - {"signal.Signals"}  # a vocabulary
    assert {name.split(".")[0] for name in used} & IMPURE == set()


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_pure_module_takes_chance_only_from_its_caller(path: Path) -> None:
    """`random.Random` as a type is all that it may use of the module."""
    tree = syntax(path)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
    }
    assert used <= {"Random"}
    assert not any(name.startswith("random.") for name in imports(path))
    if is_machine(path):
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        assert not any(isinstance(func, ast.Attribute) and func.attr == "Random" for func in calls)


def test_twenty_and_more_modules_claim_to_be_pure() -> None:
    assert len([path for path in MODULES if says_pure(path)]) >= 20


def test_client_and_server_share_only_what_lies_below_both() -> None:
    graph = rooms(FOLDERS["nat_traversal"])
    for name in ("client", "paths"):
        assert "server" not in graph[name]
    assert not graph["server"] & {"client", "paths"}


def reachable(path: Path) -> set[str]:
    """Every module of both packages that `path` imports, or that these import, and so on."""
    by_name = {dotted(each): each for each in MODULES}
    found: set[str] = set()
    ahead = [path]
    while ahead:
        for name in imports(ahead.pop()):
            for known in (name, name.rpartition(".")[0]):
                if known in by_name and known not in found:
                    found.add(known)
                    ahead.append(by_name[known])
    return found


def dotted(path: Path) -> str:
    package, _ = room(path)
    inside = path.relative_to(FOLDERS[package].parent).with_suffix("")
    return ".".join(inside.parts).removesuffix(".__init__")


def test_oracle_shares_no_code_with_the_rules() -> None:
    """What ought to happen is worked out by other code than what makes it happen: only words are shared."""
    words = {"nat_traversal.errors", "nat_traversal.wire.behavior", "nat_traversal.wire.endpoint"}
    words |= {"nat_traversal", "nat_traversal.wire"}  # the folders of these words
    words |= {"natlab.behavior", "natlab.presets"}
    words |= {
        "nat_traversal.arguments",
        "nat_traversal.arguments.durations",
    }  # an id has a lifetime
    oracle = {path for path in MODULES if room(path) == ("natlab", "oracle")}
    nat = {path for path in MODULES if room(path) == ("natlab", "nat")}
    by_oracle = {name for path in oracle for name in reachable(path)} - set(map(dotted, oracle))
    by_nat = {name for path in nat for name in reachable(path)}
    assert by_oracle & (by_nat | set(map(dotted, nat))) <= words
    assert not any(room_of(name, "natlab") == "nat" for name in by_oracle)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_keeps_to_its_place_and_says_its_job(path: Path) -> None:
    """No lab in the package, in the lab only the vocabulary; Mininet and scapy in their rooms."""
    assert_lab_is_apart(path)
    assert_mininet_and_scapy_have_their_places(path)
    assert_first_line_says_the_one_job(path)


def assert_lab_is_apart(path: Path) -> None:
    package, _ = room(path)
    if package == "nat_traversal":
        outside = {"natlab", "lab", "topologies", "tests", "mininet", "scapy", "rich", "jinja2"}
        assert tops(path) & outside == set()
    else:
        used = {room_of(name, "nat_traversal") for name in imports(path)} - {None}
        assert used <= LAB_MAY_USE
        assert tops(path) & {"lab", "topologies", "tests"} == set()


def assert_mininet_and_scapy_have_their_places(path: Path) -> None:
    if "mininet" in tops(path):
        assert room(path) in {("natlab", "network"), ("natlab", "topologies")}
    if "scapy" in tops(path):
        assert room(path) == ("natlab", "capture")


def assert_first_line_says_the_one_job(path: Path) -> None:
    text = ast.get_docstring(syntax(path)) or ""
    first = text.split("\n", maxsplit=1)[0]
    assert len(first) > 20, "a module's docstring begins with one line that says its job"


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in MAY_IMPORT for name in MAY_IMPORT[package]]
)
def test_architecture_page_maps_every_room(package: str, name: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"`{package}/{name}" in page
