"""`--firewall` on the command line: what it shows, and what it refuses before anything runs."""

from __future__ import annotations

import pytest

from natlab.cli.main import main
from natlab.cli.status import Exit
from tests.lab.cli.refusals import refused

_ONLY = (
    "iptables makes none, full-cone, restricted-cone, port-restricted-cone, symmetric,"
    " linux-masquerade alone, not "
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("matrix", "--nat", "full-cone", "--nat", "cgnat"),
        ("run", "--nat-a", "none", "--nat-b", "cgnat"),
        ("shell", "--nat-a", "cgnat", "--nat-b", "none"),
        ("rules", "cgnat"),
        ("conformance", "symmetric", "cgnat"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_nat_that_iptables_cannot_make_is_refused_in_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command, *rest = arguments
    line = refused(capsys, command, "--firewall", "iptables", *rest)
    assert line == (
        f"error: {_ONLY}EIM+EIF+block-per-host+hairpin-external-source:"
        " it needs a mapping table of its own, and ipset has no maps; nftables does"
    )


def test_an_unknown_firewall_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "matrix", "--firewall", "pf")
    assert "'pf' is no firewall: choose from nftables, iptables" in line


def test_the_rules_of_either_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "symmetric", "--firewall", "iptables"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "-j MASQUERADE --random-fully" in shown
    assert "# nft" not in shown
    assert main(["rules", "symmetric"]) == Exit.OK
    assert "table ip nat_lab" in capsys.readouterr().out


def test_programs_run_behind_nats_of_iptables(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["topology", "star,peers=2,nats=full-cone/symmetric", "--firewall", "iptables"]
    assert main(command) == Exit.OK
    assert "nat_2: nat symmetric" in capfd.readouterr().out
