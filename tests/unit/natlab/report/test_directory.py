"""Whose files are in a report's directory, and what becomes of each in the next run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from natlab.errors import LabError
from natlab.report.directory import MARK, discard, own_directory


def _write(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name, encoding="utf-8")


def _names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")} - {MARK}


def test_a_second_run_finds_nothing_of_the_first(tmp_path: Path) -> None:
    report = tmp_path / "new" / "report"
    with own_directory(report):
        _write(report, "index.html", "none--none/capture.pcapng", "a program's own file")
    with own_directory(report):
        assert _names(report) == set()
        _write(report, "report.json")
    assert _names(report) == {"report.json"}


@pytest.mark.parametrize("name", ["notes.txt", "none--none/notes.txt", "index.html"])
def test_a_directory_with_a_foreign_file_is_refused_and_stays(name: str, tmp_path: Path) -> None:
    _write(tmp_path, name)
    words = re.escape(f"{tmp_path} holds {name}, which no earlier report has left there")
    with pytest.raises(LabError, match=words), own_directory(tmp_path):
        pytest.fail("it was not refused")
    assert (tmp_path / name).read_text(encoding="utf-8") == name
    assert not (tmp_path / MARK).exists()


def test_a_foreign_file_that_came_after_a_run_is_neither_removed_nor_overwritten(
    tmp_path: Path,
) -> None:
    with own_directory(tmp_path):
        _write(tmp_path, "index.html")
    _write(tmp_path, "capture.pcapng")
    with pytest.raises(LabError, match=r"holds capture\.pcapng"), own_directory(tmp_path):
        pytest.fail("it was not refused")
    assert _names(tmp_path) == {"index.html", "capture.pcapng"}


def test_files_of_a_killed_run_are_known_by_their_names_and_no_others(tmp_path: Path) -> None:
    _write(tmp_path, "none--none/server.stdout", "host_a.stderr", "nat_a.rules", "report.json.part")
    (tmp_path / MARK).touch()
    with own_directory(tmp_path):
        assert _names(tmp_path) == set()
    (tmp_path / MARK).write_text("", encoding="utf-8")
    _write(tmp_path, "thesis.tex")
    with pytest.raises(LabError, match=r"holds thesis\.tex"), own_directory(tmp_path):
        pytest.fail("it was not refused")


def test_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere, report = tmp_path / "elsewhere", tmp_path / "report"
    _write(elsewhere, "capture.pcapng")
    with own_directory(report):
        _write(report, "none--none/capture.pcapng")
    (report / "none--none" / "capture.pcapng").unlink()
    (report / "none--none").rmdir()
    (report / "none--none").symlink_to(elsewhere)
    with pytest.raises(LabError, match="holds none--none"), own_directory(report):
        pytest.fail("it was not refused")
    assert (elsewhere / "capture.pcapng").exists()


def test_what_was_written_before_an_error_is_the_lab_s_too(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), own_directory(tmp_path):
        _write(tmp_path, "some output", "some output/a file in a file")
    with own_directory(tmp_path):
        assert _names(tmp_path) == set()


def test_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    _write(tmp_path, "file")
    with (
        pytest.raises(LabError, match=r"cannot write the report to .*: Not a directory"),
        own_directory(tmp_path / "file" / "report"),
    ):
        pytest.fail("it was not refused")


def test_a_report_inside_another_is_no_part_of_it(tmp_path: Path) -> None:
    with own_directory(tmp_path / "run"):
        _write(tmp_path / "run", "host_a.stdout")
    with own_directory(tmp_path):
        _write(tmp_path, "index.html")
    with own_directory(tmp_path):
        assert _names(tmp_path) == {"run", f"run/{MARK}", "run/host_a.stdout"}


def test_a_report_where_a_cell_goes_is_in_the_way(tmp_path: Path) -> None:
    with own_directory(tmp_path / "none--none"):
        _write(tmp_path / "none--none", "capture.pcapng")
    with pytest.raises(LabError, match="holds none--none/"), own_directory(tmp_path):
        pytest.fail("it was not refused")


def test_a_shared_directory_keeps_what_others_have_there(tmp_path: Path) -> None:
    _write(tmp_path, "my_topology.py")
    for _ in range(2):
        with own_directory(tmp_path, shared=True):
            assert _names(tmp_path) == {"my_topology.py"}
            _write(tmp_path, "capture.pcapng", "by a program")
    (tmp_path / MARK).unlink()
    with (
        pytest.raises(LabError, match=r"holds capture\.pcapng"),
        own_directory(tmp_path, shared=True),
    ):
        pytest.fail("it was not refused")
    assert _names(tmp_path) == {"my_topology.py", "capture.pcapng", "by a program"}


@pytest.mark.parametrize("foreign", [(), ("thesis.txt",)])
def test_what_is_discarded_is_the_lab_s_and_nothing_else(
    foreign: tuple[str, ...], tmp_path: Path
) -> None:
    directory = tmp_path / "kept"
    _write(directory, *foreign)
    with own_directory(directory, shared=True):
        _write(directory, "capture.pcapng", "some/of a program")
    discard(directory)
    assert directory.exists() == bool(foreign)
    assert _names(tmp_path / "kept") == set(foreign)
