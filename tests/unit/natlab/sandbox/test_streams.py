"""Words that cannot be written: by a process of its own, whose streams are in every bad state."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_START = "from natlab.sandbox.streams import lost_output, never_fail_on_output as begin; begin(); import sys; "
_ASCII = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii:strict",
}


def _shell(redirection: str, code: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", f'exec "$1" -c "$2" {redirection}', "sh", sys.executable, _START + code],
        env=os.environ | environment,
        capture_output=True,
        check=False,
        timeout=30,
    )


def test_a_character_that_the_locale_lacks_is_replaced() -> None:
    done = _shell(
        "", r"print('caf\udce9 \xd7 3 \u2026 \xe9'); print('\xd7', file=sys.stderr)", **_ASCII
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"caf? x 3 ... ?\n", b"x\n")


def test_utf_8_stays_as_it_is() -> None:
    done = _shell("", "print('none × none')", PYTHONIOENCODING="utf-8")
    assert done.stdout == "none × none\n".encode()


@pytest.mark.parametrize(
    ("redirection", "lost"),
    [
        (">&-", b"None"),
        (">/dev/full", b"cannot write the output: No space left on device"),
        ("| true", b"None"),
        ("<&- >&- 2>/dev/full", b""),
        ("<&-", b"None"),
    ],
)
def test_nothing_that_happens_to_the_output_stops_the_command(
    redirection: str, lost: bytes
) -> None:
    code = "[print('x' * 1000) for _ in range(1000)]; print(lost_output(), file=sys.stderr)"
    done = _shell(redirection, code)
    assert (done.returncode, done.stderr.strip()) == (0, lost)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true"])
def test_nothing_that_happens_to_stderr_stops_the_command(redirection: str) -> None:
    code = "[print('x' * 1000, file=sys.stderr) for _ in range(1000)]; print('end'); sys.exit(7)"
    done = _shell(redirection, code)
    if "|" not in redirection:  # where the status is that of `true`
        assert (done.returncode, done.stdout) == (7, b"end\n")
    assert b"Error" not in done.stderr


def test_a_closed_stream_s_number_is_not_given_to_the_next_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    code = f"file = open({str(kept)!r}, 'w'); print('not in the file', flush=True); file.write('kept'); file.close()"
    assert _shell(">&- 2>&- <&-", code).returncode == 0
    assert kept.read_text(encoding="utf-8") == "kept"


def test_streams_that_somebody_else_has_put_there_stay(capsys: pytest.CaptureFixture[str]) -> None:
    from natlab.sandbox.streams import lost_output, never_fail_on_output  # noqa: PLC0415

    never_fail_on_output()
    sys.stdout.write("seen\n")
    assert capsys.readouterr().out == "seen\n"
    assert lost_output() is None
