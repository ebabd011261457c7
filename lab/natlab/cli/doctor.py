"""The doctor: the tools of the lab that this machine has and lacks, substitutes, and how to get them."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from natlab.cli.status import Exit
from natlab.errors import NetworkError, SandboxError, SandboxUnavailableError
from natlab.links.netem import try_out
from natlab.nat.rules import Firewall, rules_for
from natlab.network.addressing import side
from natlab.presets import PRESETS, REAL_WORLD, preset
from natlab.sandbox import sandbox
from natlab.sandbox.machine import NO_SYSFS, search_path
from natlab.sandbox.netns import run_together


class Need(StrEnum):
    """Everything that fails without it."""

    LAB = "lab"
    TESTS = "tests"
    BENCH = "bench"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for. `detail` is what there is, or why there is not."""

    subject: str
    has: bool
    need: Need
    detail: str
    remedy: str = ""
    """The substitute, or the command that provides it; empty where nothing is amiss."""


def define(parser: argparse.ArgumentParser) -> None:
    """Name what runs the command; it has no options."""
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> Exit:
    del options
    findings = examine()
    Console().print(table(findings))
    print(verdict(findings))
    return Exit.OK if is_ok(findings) else Exit.UNAVAILABLE


def examine() -> list[Finding]:
    """Look at this machine, partly by trying things in a sandbox. Changes nothing."""
    return [*programs(), *packages(), *kernel()]


def is_ok(findings: Sequence[Finding], needs: Sequence[Need] = (Need.LAB,)) -> bool:
    """Whether nothing is missing that one of `needs` cannot do without."""
    return all(finding.has or finding.need not in needs for finding in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """One line: whether the lab can run here, and what is missing for that or for its tests."""
    lacking = [each for each in findings if not each.has]
    of_lab = [each.subject for each in lacking if each.need is Need.LAB]
    if of_lab:
        return f"The lab cannot run here yet. It lacks {', '.join(of_lab)}: do what the last column says."
    others = [each.subject for each in lacking if each.need is not Need.NOTHING]
    besides = f" Only tests and benchmarks want {', '.join(others)}." if others else ""
    return f"The lab can run here.{besides}"


def table(findings: Sequence[Finding]) -> Table:
    """The findings for a terminal."""
    drawn = Table("")
    for heading in ("what", "needed by", "found", "instead, or how to get it"):
        drawn.add_column(heading, overflow="fold")  # a cut remedy would be none
    for finding in findings:
        mark = "[green]has[/]" if finding.has else "[red]lacks[/]"
        if not finding.has and finding.need is Need.NOTHING:
            mark = "[yellow]lacks[/]"
        words = (finding.subject, finding.need, finding.detail, finding.remedy)
        drawn.add_row(mark, *map(escape, words))
    return drawn


_PROGRAMS = (
    ("unshare", "util-linux", Need.LAB),
    ("setpriv", "util-linux", Need.LAB),
    ("ip", "iproute2", Need.LAB),
    ("mnexec", "mininet", Need.LAB),
    ("iptables-restore", "iptables", Need.LAB),
    ("nft", "nftables", Need.LAB),
    ("ipset", "ipset", Need.LAB),
    ("dnsmasq", "dnsmasq-base", Need.LAB),
    ("dig", "bind9-dnsutils", Need.LAB),
    ("turnserver", "coturn", Need.TESTS),
    ("turnutils_natdiscovery", "coturn", Need.TESTS),
    ("miniupnpd", "miniupnpd-nftables", Need.TESTS),
    ("tayga", "tayga", Need.TESTS),
    ("unbound", "unbound", Need.TESTS),
    ("stun", "stun-client", Need.TESTS),
    ("stund", "stun-server", Need.TESTS),
    ("conntrack", "conntrack", Need.TESTS),
    ("iperf3", "iperf3", Need.BENCH),
    ("wireguard-go", "wireguard-go", Need.BENCH),
    ("wg", "wireguard-tools", Need.BENCH),
    ("socat", "socat", Need.BENCH),
    ("tshark", "tshark", Need.NOTHING),
)
_VERSION_FLAGS = {
    "unshare": "--version",
    "ip": "-V",
    "iptables-restore": "--version",  # it says nft or legacy
    "nft": "--version",
    "dnsmasq": "--version",
    "dig": "-v",
}


def programs(which: Callable[[str], str | None] | None = None) -> list[Finding]:
    """The programs that the lab runs, as `which` finds them (default: in the sandbox's PATH)."""
    path = search_path()
    find = which or (lambda name: shutil.which(name, path=path))
    findings = []
    for name, package, need in _PROGRAMS:
        found = find(name)
        if found is None:
            remedy = f"sudo apt-get install --no-install-recommends {package}"
            findings.append(Finding(name, False, need, "not installed", remedy))
        else:
            findings.append(Finding(name, True, need, _version(name, found)))
    return findings


def _version(name: str, path: str) -> str:
    flag = _VERSION_FLAGS.get(name)
    if flag is None:
        return path
    done = subprocess.run(
        [path, flag],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=10,
    )
    return next(iter((done.stdout or done.stderr).splitlines()), path)


_PACKAGES = ("mininet", "scapy", "rich", "jinja2")


def packages() -> list[Finding]:
    """The Python packages of the ``lab`` extra."""
    findings = []
    for name in _PACKAGES:
        try:
            findings.append(Finding(f"Python {name}", True, Need.LAB, version(name)))
        except PackageNotFoundError:
            remedy = "python -m pip install -c constraints.txt -e '.[lab]'"
            findings.append(Finding(f"Python {name}", False, Need.LAB, "not installed", remedy))
    return findings


def kernel() -> list[Finding]:
    """The kernel's permissions in a sandbox, found by trying each in one."""
    subject = "rootless namespaces"
    try:
        attempts = sandbox.call(30.0, _try_everything)
    except SandboxUnavailableError as error:
        reason, _, remedy = str(error).partition(" Remedy: ")
        return [Finding(subject, False, Need.LAB, reason, remedy)]
    except SandboxError as error:
        return [Finding(subject, False, Need.LAB, str(error), "see the lines above")]
    return [Finding(subject, True, Need.LAB, "user, network, mount and process"), *attempts]


def _try_everything() -> list[Finding]:
    """Runs in a sandbox."""
    bridge = Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()
    rules = [
        _attempt(f"rules of {name}", partial(_load, name), Need.LAB, "loaded", _RULES_REMEDY)
        for name in (*PRESETS, *REAL_WORLD)
    ]
    sets = "sudo modprobe -a ip_set_hash_ipport ip_set_hash_ipportip ip_set_bitmap_port xt_set"
    rules += [
        _attempt(
            f"rules of {name} as iptables",
            partial(_load, name, Firewall.IPTABLES),
            Need.NOTHING,
            "loaded",
            f"--firewall iptables will not work without: {sets}",
        )
        for name in ("full-cone", "symmetric")
    ]
    netem = _attempt(
        "netem (delay, rate)", partial(try_out, random=False), Need.NOTHING, "works", _NETEM_REMEDY
    )
    seeds = _attempt(
        "netem's seed (jitter, loss)",
        partial(try_out, random=True),
        Need.NOTHING,
        "taken",
        "the lab's own delay line wherever chance is involved",
    )
    own_sys = NO_SYSFS not in os.environ
    sysfs = Finding(
        "a /sys for each node",
        own_sys,
        Need.NOTHING,
        "mounted" if own_sys else "this container has /sys read-only: nodes see the container's",
        "" if own_sys else "docker run --privileged, or podman run -v /sys:/sys",
    )
    tun = Path("/dev/net/tun").exists()
    tunnels = Finding(
        "TUN devices",
        tun,
        Need.NOTHING,
        "/dev/net/tun" if tun else "there is no /dev/net/tun: user-space VPNs will not work",
        "" if tun else "sudo modprobe tun; in a container, --device /dev/net/tun",
    )
    detail = "filters bridged frames; set to 0 in each sandbox" if bridge else "not loaded"
    return [
        *rules,
        netem,
        seeds,
        sysfs,
        tunnels,
        Finding("br_netfilter", True, Need.NOTHING, detail),
    ]


_RULES_REMEDY = (
    "sudo modprobe -a nf_tables nft_compat nft_ct nft_chain_nat nft_numgen nft_reject_ipv4"
    " xt_MASQUERADE xt_conntrack"
)
_NETEM_REMEDY = (
    "the lab's own delay line (docs/lab/links-and-faults.md). In topologies of your own, Mininet's"
    " TCLink(delay=, loss=) will not work here"
)


def _attempt(
    subject: str, action: Callable[[], object], need: Need, detail: str, remedy: str
) -> Finding:
    try:
        action()
    except (NetworkError, ImportError) as error:
        return Finding(subject, False, need, str(error), remedy)
    return Finding(subject, True, need, detail)


def _load(name: str, firewall: Firewall = Firewall.NFTABLES) -> None:
    """Make one NAT as the lab does: mnexec, setns(2), nft, iptables, the settings."""
    from natlab.network.nodes import LabNode  # noqa: PLC0415 - the doctor also works without Mininet

    node = LabNode(
        "nat", addresses={}, rules=rules_for(preset(name), side("a", preset(name)).ports, firewall)
    )
    try:
        node.wait_until_held()
        run_together(node.early_commands())
        run_together(node.late_commands())
        node.apply_sysctls()
    finally:
        node.end()
