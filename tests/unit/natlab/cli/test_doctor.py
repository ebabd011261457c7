"""What the doctor makes of what it finds. The looking itself runs in tests/lab."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from natlab.cli import doctor
from natlab.cli.doctor import Finding, Need
from natlab.errors import SandboxUnavailableError
from natlab.sandbox import sandbox

HAS = Finding("one", True, Need.LAB, "1.0")
LACKS_FOR_LAB = Finding("two", False, Need.LAB, "not installed", "apt-get install two")
LACKS_FOR_TESTS = Finding("three", False, Need.TESTS, "not installed", "apt-get install three")
LACKS_FOR_NOTHING = Finding("four", False, Need.NOTHING, "not there", "x[five]")


def test_it_is_ok_while_only_what_is_not_needed_is_missing() -> None:
    assert doctor.is_ok([HAS, LACKS_FOR_TESTS, LACKS_FOR_NOTHING])
    assert not doctor.is_ok([HAS, LACKS_FOR_LAB])
    assert not doctor.is_ok([HAS, LACKS_FOR_TESTS], needs=[Need.LAB, Need.TESTS])


def test_a_missing_program_names_its_package_and_who_needs_it() -> None:
    findings = doctor.programs(lambda name: None if name == "dnsmasq" else "/bin/true")
    missing = [finding for finding in findings if not finding.has]
    assert missing == [
        Finding(
            "dnsmasq",
            False,
            Need.LAB,
            "not installed",
            "sudo apt-get install --no-install-recommends dnsmasq-base",
        )
    ]


def test_a_program_without_a_version_is_told_by_its_path() -> None:
    found = {finding.subject: finding for finding in doctor.programs(lambda _name: "/bin/true")}
    assert found["mnexec"].detail == "/bin/true"


def test_refused_namespaces_are_told_with_reason_and_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_args: object) -> object:
        raise SandboxUnavailableError("cannot make a sandbox: no. Remedy: sudo sysctl -w a.b=0")

    monkeypatch.setattr(sandbox, "call", refuse)
    (finding,) = doctor.kernel()
    assert not finding.has
    assert finding.need is Need.LAB
    assert (finding.detail, finding.remedy) == (
        "cannot make a sandbox: no.",
        "sudo sysctl -w a.b=0",
    )


def test_the_table_shows_every_finding_and_what_to_do() -> None:
    drawn = io.StringIO()
    Console(width=200, file=drawn).print(doctor.table([HAS, LACKS_FOR_LAB, LACKS_FOR_NOTHING]))
    lines = drawn.getvalue().splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    assert ["has", "one", "lab", "1.0", ""] in rows
    assert ["lacks", "two", "lab", "not installed", "apt-get install two"] in rows
    assert ["lacks", "four", "nothing", "not there", "x[five]"] in rows


def test_a_narrow_terminal_shows_every_letter_of_a_remedy() -> None:
    drawn = io.StringIO()
    remedy = "sudo apt-get install --no-install-recommends a-package-with-a-long-name"
    finding = Finding("a-program-with-a-long-name", False, Need.LAB, "not installed", remedy)
    Console(width=60, file=drawn).print(doctor.table([finding]))
    cells = [line.split("│")[-2].strip() for line in drawn.getvalue().splitlines() if "│" in line]
    assert remedy.replace(" ", "") in "".join(cells).replace(" ", "")


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        ([HAS, LACKS_FOR_NOTHING], "The lab can run here."),
        (
            [HAS, LACKS_FOR_TESTS],
            "The lab can run here. Only tests and benchmarks want three.",
        ),
        (
            [LACKS_FOR_LAB, LACKS_FOR_TESTS],
            "The lab cannot run here yet. It lacks two: do what the last column says.",
        ),
    ],
)
def test_the_last_line_says_whether_the_lab_can_run(findings: list[Finding], words: str) -> None:
    assert doctor.verdict(findings) == words
