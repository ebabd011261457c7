"""Which room may import which (`docs/architecture.md`), and which modules are pure: read from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

from scripts import rooms as source
from scripts.rooms import Graph, cycles, nodes, room_of, syntax
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
        "pairing": {"errors", "tls", "wire", "crypto"},
        "machine": {"errors", "wire", "crypto"},
        "paths": {"errors", "settings", "wire", "crypto", "machine"},
        "client": {"errors", "settings", "wire", "crypto", "machine", "paths", "check"},
        "server": {"errors", "access", "settings", "wire", "crypto", "machine"},
        "check": {"errors", "settings", "wire", "paths"},
        "mapping": {"wire", "machine"},
        "streams": {"errors", "machine"},
        "aio": {
            "pairing",
            "errors", "access", "settings", "tls", "wire", "crypto", "machine", "paths", "client", "server", "check",
            "mapping", "streams",
        },
        "cli": {
            "pairing",
            "errors", "access", "settings", "arguments", "tls", "wire", "crypto", "machine", "paths", "client", "check",
            "aio",
        },
    },
    "natlab": {
        "errors": set(),
        "terms": set(),
        "behavior": {"terms"},
        "presets": {"behavior"},
        "oracle": {"terms", "behavior", "presets"},
        "sandbox": {"errors"},
        "capture": {"errors", "sandbox"},
        "bench": {"errors", "sandbox"},
        "nat": {"errors", "terms", "behavior", "presets", "sandbox"},
        "programs": {"errors", "sandbox"},
        "evidence": {"errors", "behavior", "presets", "capture", "oracle"},
        "network": {"errors", "behavior", "presets", "nat", "sandbox"},
        "links": {"errors", "network", "sandbox"},
        "topologies": {"errors", "terms", "presets", "nat", "network"},
        "faults": {"errors", "behavior", "presets", "nat", "network", "programs", "sandbox"},
        "report": {"errors", "terms", "behavior", "presets", "capture", "evidence", "oracle"},
        "probe": {"errors", "terms", "behavior", "presets", "nat", "network", "sandbox", "topologies"},
        "testbed": {
            "errors", "behavior", "presets", "capture", "evidence", "faults", "links", "nat", "network", "probe",
            "programs", "report", "sandbox", "topologies",
        },
        "matrix": {
            "errors", "capture", "evidence", "links", "nat", "network", "oracle", "probe", "programs",
            "report", "sandbox", "testbed", "topologies",
        },
        "cli": {
            "errors", "behavior", "presets", "bench", "faults", "links", "matrix", "nat", "network", "oracle",
            "probe", "programs", "report", "sandbox", "testbed", "topologies",
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
    "mapping",
    "streams",
}
"""Rooms of `nat_traversal` without I/O, clock, threads or chance of their own."""
IMPURE = {
    "asyncio", "concurrent", "fcntl", "multiprocessing", "os", "pathlib", "select", "selectors",
    "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "datetime", "secrets", "mininet", "scapy",
}  # fmt: skip
LAB_MAY_USE = {"errors", "arguments", "wire"}


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


@cache
def pure() -> list[Path]:
    return [path for path in MODULES if says_pure(path) or is_machine(path)]


def tops(path: Path, besides: Collection[str] = ()) -> set[str]:
    return {name.split(".")[0] for name in imports(path) if name not in besides}


@pytest.mark.parametrize("package", FOLDERS)
def test_rooms_are_those_of_the_table_and_on_no_cycle(package: str) -> None:
    graph = rooms(FOLDERS[package])
    assert set(graph) == set(MAY_IMPORT[package])
    assert cycles(graph) == []


@pytest.mark.parametrize("package", FOLDERS)
def test_room_imports_only_what_the_table_allows(package: str) -> None:
    graph = rooms(FOLDERS[package])
    more = {name: graph[name] - allowed for name, allowed in MAY_IMPORT[package].items()}
    assert {name: those for name, those in more.items() if those} == {}


def test_pure_module_has_no_clock_no_socket_no_files_no_threads() -> None:
    vocabulary = {"signal.Signals"}
    used = {name_of(path): tops(path, vocabulary) & IMPURE for path in pure()}
    assert {name: those for name, those in used.items() if those} == {}


def test_pure_module_takes_chance_only_from_its_caller() -> None:
    """`random.Random` as a type is all that it may use of the module."""
    assert {name_of(path): found for path in pure() if (found := chance(path))} == {}


def chance(path: Path) -> set[str]:
    """What a pure module uses of `random` and may not."""
    parts = nodes(syntax(path))
    used = {
        node.attr
        for node in parts
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
    }
    found = used - {"Random"} | {each for each in imports(path) if each.startswith("random.")}
    if is_machine(path):
        calls = (node.func for node in parts if isinstance(node, ast.Call))
        if any(isinstance(func, ast.Attribute) and func.attr == "Random" for func in calls):
            found.add("Random()")
    return found


def test_twenty_and_more_modules_claim_to_be_pure() -> None:
    assert len([path for path in MODULES if says_pure(path)]) >= 20


def test_client_and_server_share_only_what_lies_below_both() -> None:
    graph = rooms(FOLDERS["nat_traversal"])
    for name in ("client", "paths"):
        assert "server" not in graph[name]
    assert not graph["server"] & {"client", "paths"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Not even later, within a function. A package's own `__init__` names what lies in it."""
    graph = {
        dotted(path): frozenset(direct(path) - {dotted(path)})
        for path in MODULES
        if path.stem != "__init__"
    }
    known = {name: those & graph.keys() for name, those in graph.items()}
    assert cycles(known) == []


def direct(path: Path) -> set[str]:
    """The modules of both packages that `path` imports, itself or a name of theirs."""
    names = set(imports(path))
    return names | {name.rpartition(".")[0] for name in names}


def reachable(paths: Collection[Path]) -> set[str]:
    """Every module of both packages that these import, or that those import, and so on."""
    by_name = {dotted(each): each for each in MODULES}
    found: set[str] = set()
    ahead = [*paths]
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
    """The due outcome is worked out by other code than the real one: only words are shared."""
    words = {"nat_traversal.errors", "nat_traversal.wire.behavior", "nat_traversal.wire.endpoint"}
    words |= {"nat_traversal", "nat_traversal.wire"}  # the folders of these words
    words |= {"natlab.terms", "natlab.behavior", "natlab.presets"}
    words |= {
        "nat_traversal.arguments",
        "nat_traversal.arguments.durations",
    }  # an id has a lifetime
    oracle = {path for path in MODULES if room(path) == ("natlab", "oracle")}
    nat = {path for path in MODULES if room(path) == ("natlab", "nat")}
    by_oracle = reachable(oracle) - set(map(dotted, oracle))
    by_nat = reachable(nat)
    assert by_oracle & (by_nat | set(map(dotted, nat))) <= words
    assert not any(room_of(name, "natlab") == "nat" for name in by_oracle)


def test_module_keeps_to_its_place_and_says_its_job() -> None:
    """No lab in the package, in the lab only the vocabulary; Mininet and scapy in their rooms."""
    wrong = {name_of(path): list(out_of_place(path)) for path in MODULES}
    assert {name: found for name, found in wrong.items() if found} == {}


def out_of_place(path: Path) -> Iterator[str]:
    package, name = room(path)
    if package == "nat_traversal":
        outside = {"natlab", "lab", "topologies", "tests", "mininet", "scapy", "rich", "jinja2"}
    else:
        outside = {"lab", "topologies", "tests"}
        if name not in {"network", "topologies"}:
            outside.add("mininet")
        if name != "capture":
            outside.add("scapy")
        used = {room_of(each, "nat_traversal") for each in imports(path)} - {None}
        yield from (f"nat_traversal.{each}" for each in used - LAB_MAY_USE)
    yield from tops(path) & outside
    first = (ast.get_docstring(syntax(path)) or "").split("\n", maxsplit=1)[0]
    if len(first) <= 20:
        yield "its docstring does not begin with one line that says its job"


def test_architecture_page_maps_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    every = [f"{package}/{name}" for package, those in MAY_IMPORT.items() for name in those]
    assert [name for name in every if f"`{name}" not in page] == []


def test_architecture_page_draws_every_room_above_those_that_it_imports() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = re.search(
        r"^    nat_traversal +(.*)\n    natlab +(.*(?:\n +->.*)*)", page, re.MULTILINE
    )
    assert drawn is not None
    for package, line in zip(FOLDERS, drawn.groups(), strict=True):
        steps = [step.split(", ") for step in re.split(r"\s*->\s*", line)]
        floor = {name.strip(): number for number, step in enumerate(steps) for name in step}
        graph = rooms(FOLDERS[package])
        assert floor.keys() == graph.keys()
        wrong = [(a, b) for a, those in graph.items() for b in those if floor[b] > floor[a]]
        assert wrong == []
