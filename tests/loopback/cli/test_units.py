"""The units for systemd, judged by systemd itself, and the configuration that goes with them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli.client_arguments import client_options
from nat_traversal.cli.config_file import merged, request_of
from nat_traversal.cli.server_arguments import server_options, server_options_of
from nat_traversal.crypto.keyfile import IDENTITY, as_text
from tests import ROOT

DEPLOY = ROOT / "deploy"
SERVICES = sorted(DEPLOY.glob("*.service"))
MOST_EXPOSED = 15
"""Tenths; 100 is a service without any limits."""


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program is not None, "make setup installs it"
    return subprocess.run(
        [program, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""},
    )


@pytest.mark.parametrize("unit", SERVICES, ids=lambda it: it.name)
def test_a_service_exposes_little(unit: Path) -> None:
    judged = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit))
    found = re.search(r"Overall exposure level for .*: ([\d.]+) ", judged.stdout)
    assert found, judged
    assert (judged.returncode, float(found[1]) <= MOST_EXPOSED / 10) == (0, True), judged.stdout


def test_systemd_finds_nothing_wrong_in_any_unit(tmp_path: Path) -> None:
    for unit in (*SERVICES, *DEPLOY.glob("*.socket")):
        text = unit.read_text(encoding="utf-8")
        # the program has to be there
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
        (tmp_path / unit.name.replace("@.", "@x.")).write_text(text, encoding="utf-8")
    units = sorted(tmp_path.iterdir())
    assert len(units) == 4
    judged = analyze("verify", "--man=no", "--generators=no", *map(str, units))
    ours = [line for line in judged.stderr.splitlines() if "nat-traversal" in line]
    assert (judged.returncode, ours) == (0, [])


def test_the_configuration_that_comes_with_the_unit_is_the_default() -> None:
    file = str(DEPLOY / "server.toml")
    given = server_options(Parser()).parse_args(["--config", file])
    none = server_options(Parser()).parse_args([])
    assert request_of(merged(given), server_options_of) == server_options_of(none)


def test_the_client_file_that_comes_with_the_unit_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "identity").write_text(as_text(IDENTITY, bytes(range(32))))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    text = (DEPLOY / "client.toml").read_text(encoding="utf-8")
    unit = (DEPLOY / "nat-traversal-client.service").read_text(encoding="utf-8")
    handed_over = "/run/credentials/nat-traversal-client.service"
    assert f'identity = "{handed_over}/identity"' in text
    assert "LoadCredential=identity:" in unit
    file = tmp_path / "client.toml"
    file.write_text(text.replace(handed_over, str(credentials)))
    (plan,) = merged(client_options(Parser()).parse_args(["--config", str(file)])).client_file.plans
    assert plan.keys.identity == bytes(range(32))
    assert [str(each) for each in plan.options.services] == [
        "dns:listen=127.0.0.1:5300",
        "factorio:connect=127.0.0.1:34197",
    ]


def test_every_line_of_that_configuration_can_be_used(tmp_path: Path) -> None:
    text = (DEPLOY / "server.toml").read_text(encoding="utf-8")
    file = tmp_path / "server.toml"
    file.write_text(re.sub(r"^# (?=[a-z-]+ = )", "", text, flags=re.MULTILINE))
    given = server_options(Parser()).parse_args(["--config", str(file)])
    assert request_of(merged(given), server_options_of).hosts == ("0.0.0.0", "::")
