"""Faults to programs, faults that are refused, and faults at their times."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nat_traversal.errors import UsageError
from natlab.errors import ProgramError
from natlab.faults.grammar import Fault, Injected, parse_action, parse_fault
from natlab.sandbox.netns import in_namespace
from tests.lab import warm
from tests.lab.faults.faulty import TIMEOUT, faulty

if TYPE_CHECKING:
    pass


def _programs(directory: Path) -> list[object]:
    from natlab.faults.inject import Faults
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]

    script = "trap 'echo told; exit 7' TERM; echo began; while :; do read -t 0.01 x <> <(:); done"
    with two_nats_network("none", "none") as network, Programs(directory) as programs:
        faults = Faults(network, programs)
        first = programs.start("work", ["bash", "-c", script], network.pid("host_a"))
        first.wait_for_line("began", timeout=20)
        found: list[object] = []
        for which, wanted in ((signal.SIGSTOP, "T"), (signal.SIGCONT, "RS")):
            faults.signal("work", which)
            first.wait_until(lambda: state(first.pid) in wanted, f"state {wanted}", timeout=10)  # noqa: B023
        faults.signal("work", signal.SIGKILL)
        found.append(first.exit_status)
        second = faults.restart("work")
        second.wait_for_line("began", timeout=20)
        third = faults.restart("work")  # it runs, so it is killed
        third.wait_for_line("began", timeout=20)
        found.append(second.exit_status)
        faults.signal("work", signal.SIGTERM)
        found += [third.wait(timeout=20), third.name, faults.program("work") is third]
        try:
            faults.signal("work", signal.SIGTERM)
        except ProgramError as error:
            found.append(str(error))
        return found


def test_programs_are_stopped_continued_killed_and_started_again(tmp_path: Path) -> None:
    assert warm.call(TIMEOUT, _programs, tmp_path) == [
        -signal.SIGKILL,
        -signal.SIGKILL,
        7,
        "work-3",
        True,
        "work: ended before, with status 7",
    ]


def _refused(action: str) -> None:
    with faulty("port-restricted-cone") as (_, faults):
        faults.check(parse_action(action))


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            "link-down host_c",
            "there is no node or interface 'host_c': the nodes are host_a, host_b",
        ),
        ("nat-reboot host_a", "host_a is no NAT: choose from nat_a, nat_b"),
        ("nat-reboot nat_c", "there is no node 'nat_c': choose from host_a"),
        ("wan-address nat_a 198.51.100.9", "nat_a cannot become 198.51.100.9: give a free address"),
        ("wan-address nat_a 203.0.113.1", "of 203.0.113.0/25"),
        ("wan-address nat_b 198.51.100.9", "nat_b is `none`"),
        ("expire nat_a host_c", "there is no node 'host_c'"),
        ("block host_a host_c", "there is no node 'host_c'"),
        ("relay-cut relay", "there is no node 'relay': choose from host_a"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_before_it_is_due(action: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        warm.call(TIMEOUT, _refused, action)
    assert words in str(caught.value)


def _misuse() -> list[str]:
    said = []
    with faulty("port-restricted-cone") as (_, faults):
        faults.relay_cut("host_b")
        for action in (
            "nat-swap nat_a none",
            "nat-swap nat_b full-cone",
            "unblock nat_a nat_b",
            "relay-restore server",
            "relay-cut host_b",
        ):
            try:
                faults.inject(parse_action(action))
            except UsageError as error:
                said.append(str(error).partition(":")[0])
    return said


def test_what_makes_no_sense_is_refused_when_it_is_due() -> None:
    assert warm.call(TIMEOUT, _misuse) == [
        "nat_a cannot change from port-restricted-cone to none",
        "nat_b cannot change from none to full-cone",
        "the way from nat_a to nat_b is not blocked",
        "the relay server is not cut",
        "the relay host_b is cut already",
    ]


def _scheduled(directory: Path) -> tuple[list[str], list[str], list[str]]:
    from natlab.faults.inject import Faults
    from natlab.faults.schedule import Schedule
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    plan = [
        parse_fault(text)
        for text in (
            "on=work:began:link-down host_a",
            "on=work:ended:link-down host_b",
            "at=0.05s:signal work TERM",
            "at=86400s:nat-reboot nat_a",
        )
    ]
    with two_nats_network("full-cone", "none") as network, Programs(directory) as programs:
        script = "trap 'exit 7' TERM; echo it began; while :; do read -t 0.01 x <> <(:); done"
        work = programs.start("work", ["bash", "-c", script], network.pid("host_a"))
        work.wait_for_line("began", timeout=20)
        with Schedule(Faults(network, programs), plan) as schedule:
            assert work.wait(timeout=20) == 7
            schedule.wait(timeout=20, count=2)
        up = []
        for host in ("host_a", "host_b"):
            with in_namespace(network.pid(host)):
                words = ["ip", "-br", "link", "show", f"{host}-eth0"]
                said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            up += [host] if "UP" in said.split() else []
        injected = sorted(str(each.fault) for each in schedule.injected)
        return injected, [str(each) for each in schedule.missed], up


def test_faults_come_at_their_times_and_events_and_the_missed_ones_are_known(
    tmp_path: Path,
) -> None:
    assert warm.call(TIMEOUT, _scheduled, tmp_path) == (
        ["link-down host_a", "signal work TERM"],
        ["on=work:ended:link-down host_b", "at=86400s:nat-reboot nat_a"],
        ["host_b"],
    )


def _failing_schedule(directory: Path) -> None:
    from natlab.faults.inject import Faults
    from natlab.faults.schedule import Schedule
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network("full-cone", "none") as network, Programs(directory) as programs:
        work = programs.start("work", ["true"], network.pid("host_a"))
        work.wait(timeout=20)
        with Schedule(Faults(network, programs), [parse_fault("at=0s:signal work KILL")]) as plan:
            plan.wait(timeout=20)


def test_a_fault_that_fails_is_an_error_of_the_schedule(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="work: ended before, with status 0"):
        warm.call(TIMEOUT, _failing_schedule, tmp_path)


def _schedule_whose_thread_breaks(directory: Path) -> list[str]:
    from natlab.faults.inject import Faults
    from natlab.faults.schedule import Schedule
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    class Broken(Faults):
        def inject(self, fault: Fault) -> Injected:
            raise ZeroDivisionError(f"of {fault}")

    with two_nats_network("full-cone", "none") as network, Programs(directory) as programs:
        schedule = Schedule(Broken(network, programs), [parse_fault("at=0s:link-down host_a")])
        schedule.__enter__().wait(timeout=1000)
        return [repr(error) for error in schedule.stop()]


def test_whatever_breaks_a_fault_is_an_error_of_the_schedule(tmp_path: Path) -> None:
    told = warm.call(TIMEOUT, _schedule_whose_thread_breaks, tmp_path)
    assert told == ["ZeroDivisionError('of link-down host_a')"]
