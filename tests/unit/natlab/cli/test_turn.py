"""`--turn` of the matrix: what cannot be is one line with the remedy, before anything starts."""

from __future__ import annotations

import pytest

from natlab.cli.main import main
from natlab.cli.status import Exit
from natlab.matrix import coturn

PAIR = ("--nat", "symmetric")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--turn", "c"), "'c' is no TURN server: give a, b or both, with ,tcp as in both,tcp"),
        (
            ("--turn", "a", "--topology", "shared_cgn"),
            "only two_nats and regions have a place for coturn",
        ),
        (
            ("--turn", "a", "--methods", "ordered-hello"),
            "--turn needs the method turn, which --methods lacks",
        ),
        (("--methods", "ordered-hello,turn"), "the lab cannot prove turn here"),
        (
            ("--turn", "a", "--nat-b", "APDM+APDF+addresses-4+arbitrary"),
            "the NAT of host_b gives each mapping the next of its addresses",
        ),
        (
            ("--turn", "a", "--program", "examples/puncher.toml"),
            "--turn is for the project's clients",
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    options: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["matrix", *PAIR, *options]) == Exit.USAGE
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_coturn_that_is_not_installed_is_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(coturn, "search_path", lambda: "/nowhere")
    assert main(["matrix", *PAIR, "--turn", "a"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "error: --turn needs coturn's turnserver, which is not here: sudo apt-get install coturn\n"
    )


def test_the_package_that_the_clients_lack_is_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(coturn, "find_spec", lambda _: None)
    monkeypatch.setattr("natlab.matrix.coturn.shutil.which", lambda *_, **__: "/usr/bin/turnserver")
    assert main(["matrix", *PAIR, "--turn", "a"]) == Exit.USAGE
    assert "pip install 'nat-traversal[turn]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--a", "true"), "--turn is for the project's clients: start a TURN server beside yours"),
        (("--methods", "ordered-hello"), "--turn needs the method turn, which --methods lacks"),
    ],
)
def test_what_cannot_be_with_one_pair_is_one_line(
    options: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nats = ("--nat-a", "symmetric", "--nat-b", "symmetric")
    assert main(["run", *nats, "--turn", "a", *options]) == Exit.USAGE
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
