"""Each fault does happen: by packets, by what the kernel holds, by what programs do."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nat_traversal.errors import UsageError
from natlab.errors import NetworkError, ProgramError
from natlab.faults.grammar import Fault, Injected, parse_action, parse_fault
from natlab.presets import preset
from natlab.sandbox.netns import in_namespace, udp_socket
from tests.lab import warm

if TYPE_CHECKING:
    from natlab.faults.inject import Faults
    from natlab.network.network import Network
    from natlab.topologies.two_nats import TwoNatsNetwork

_TIMEOUT = 50.0
SERVER = ("192.0.2.2", 5000)
GONE = 0.5
"""Seconds after which a datagram counts as lost; it crosses the network in less than a millisecond."""
NATS = ["full-cone", "restricted-cone", "port-restricted-cone", "symmetric", "linux-masquerade"]


@contextmanager
def _faulty(nat_a: str, nat_b: str = "none") -> Iterator[tuple[TwoNatsNetwork, Faults]]:
    from natlab.faults.inject import Faults
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network(nat_a, nat_b) as network, Programs(Path("/run")) as programs:
        yield network, Faults(network, programs)


def _arrives(
    source: socket.socket, target: tuple[str, int], at: socket.socket, wait: float = GONE
) -> tuple[str, int] | None:
    """The source with which a datagram arrives, or None."""
    at.settimeout(0.001)
    while True:
        try:
            at.recv(100)
        except TimeoutError:
            break
    source.sendto(b"hello", target)
    at.settimeout(wait)
    try:
        _, seen = at.recvfrom(100)
    except TimeoutError:
        return None
    return str(seen[0]), int(seen[1])


def _link() -> list[bool]:
    found = []
    with (
        _faulty("port-restricted-cone") as (network, faults),
        udp_socket(network.pid("host_a"), "0.0.0.0") as inside,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        for where in ("host_a", "nat_a-wan", "nat_a"):
            found.append(_arrives(inside, SERVER, server, 10) is not None)
            faults.link_down(where)
            if where == "host_a":
                with pytest.raises(OSError, match="unreachable"):
                    inside.sendto(b"hello", SERVER)
                found.append(False)
            else:
                found.append(_arrives(inside, SERVER, server) is not None)
            faults.link_up(where)
        found.append(_arrives(inside, SERVER, server, 10) is not None)
    return found


def test_a_link_that_is_down_carries_nothing_and_comes_back_with_its_routes() -> None:
    assert warm.call(_TIMEOUT, _link) == [True, False, True, False, True, False, True]


def _remembered(pid: int) -> tuple[int, int]:
    """Elements of the NAT's maps and sets, and tracked UDP flows."""
    with in_namespace(pid):
        ruleset, flows = (
            subprocess.run(words, check=True, capture_output=True, text=True).stdout
            for words in (["nft", "list", "ruleset"], ["conntrack", "-L", "-p", "udp"])
        )
    return ruleset.count(" expires "), len(flows.splitlines())


def _reboot(nat: str) -> tuple[bool, bool, bool, tuple[int, int]]:
    with (
        _faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as inside,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        mapped = _arrives(inside, SERVER, server, 10)
        assert mapped is not None
        before = _arrives(server, mapped, inside, 10) is not None
        remembers = _remembered(network.pid("nat_a")) != (0, 0)
        faults.reboot("nat_a")
        after = _remembered(network.pid("nat_a"))
        return before, remembers, _arrives(server, mapped, inside) is not None, after


@pytest.mark.parametrize("nat", NATS)
def test_a_rebooted_nat_remembers_nothing(nat: str) -> None:
    assert warm.call(_TIMEOUT, _reboot, nat) == (True, True, False, (0, 0))


def _swap(before: str, after: str) -> None:
    from natlab.probe.network import probe_nat
    from natlab.probe.observe import check

    with _faulty(before) as (network, faults):
        check(preset(before), probe_nat(network, "nat_a"))
        faults.swap("nat_a", after)
        check(preset(after), probe_nat(network, "nat_a"))
        assert network.nat("nat_a").preset.name == after
        assert str(network.rules["nat_a"]) == str(network.nat("nat_a").rules)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("full-cone", "symmetric"),
        ("symmetric", "linux-masquerade"),
        ("linux-masquerade", "restricted-cone"),
    ],
)
def test_a_swapped_nat_is_by_its_probes_the_other_one(before: str, after: str) -> None:
    warm.call(_TIMEOUT, _swap, before, after)


def _new_address(nat: str) -> tuple[str, str, bool, bool]:
    with (
        _faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as inside,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        old = _arrives(inside, SERVER, server, 10)
        faults.change_address("nat_a", "203.0.113.77")
        new = _arrives(inside, SERVER, server, 10)
        assert old is not None
        assert new is not None
        answered = _arrives(server, new, inside, 10) is not None
        return old[0], new[0], answered, _arrives(server, old, inside) is not None


@pytest.mark.parametrize("nat", ["full-cone", "symmetric", "linux-masquerade"])
def test_a_nat_with_a_new_address_sends_from_it_and_is_deaf_at_the_old(nat: str) -> None:
    assert warm.call(_TIMEOUT, _new_address, nat) == (
        "203.0.113.2",
        "203.0.113.77",
        True,
        False,
    )


def _expire(nat: str) -> list[object]:
    with (
        _faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as first,
        udp_socket(network.pid("host_a"), "10.0.1.2", 4001) as second,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        mapped = [_arrives(inside, SERVER, server, 10) for inside in (first, second)]
        assert mapped[0] is not None
        assert mapped[1] is not None
        count = faults.expire("nat_a", "host_a", 4000)
        forgotten = _arrives(server, mapped[0], first) is None
        kept = _arrives(server, mapped[1], second, 10) is not None
        rest = faults.expire("nat_a", "host_a")
        both = _arrives(server, mapped[1], second) is None
        opened_again = _arrives(first, SERVER, server, 10) is not None
        return [count, forgotten, kept, rest, both, opened_again]


@pytest.mark.parametrize("nat", NATS)
def test_an_expired_mapping_is_closed_and_its_neighbour_is_not(nat: str) -> None:
    assert warm.call(_TIMEOUT, _expire, nat) == [1, True, True, 1, True, True]


def _nothing_to_expire(nat: str) -> None:
    with _faulty(nat) as (_, faults):
        faults.expire("nat_a", "host_a", 4000)


@pytest.mark.parametrize("nat", ["full-cone", "linux-masquerade"])
def test_a_mapping_that_is_not_there_cannot_expire(nat: str) -> None:
    with pytest.raises(NetworkError, match="nat_a has no mapping of host_a:4000 that could expire"):
        warm.call(_TIMEOUT, _nothing_to_expire, nat)


def _one_way() -> list[tuple[bool, bool]]:
    with (
        _faulty("none", "none") as (network, faults),
        udp_socket(network.pid("host_a"), network.address("host_a"), 4000) as a,
        udp_socket(network.pid("host_b"), network.address("host_b"), 4000) as b,
    ):

        def both_ways() -> tuple[bool, bool]:
            to_b = _arrives(a, b.getsockname(), b) is not None
            return to_b, _arrives(b, a.getsockname(), a) is not None

        found = [both_ways()]
        faults.block("host_a", "host_b")
        found.append(both_ways())
        faults.unblock("host_a", "host_b")
        found.append(both_ways())
        return found


def test_a_blocked_way_is_blocked_one_way() -> None:
    assert warm.call(_TIMEOUT, _one_way) == [(True, True), (False, True), (True, True)]


def _tcp_passes(network: Network, source: str, target: str) -> bool:
    with in_namespace(network.pid(target)):
        listener = socket.create_server((network.address(target), 0))
    with in_namespace(network.pid(source)):
        client = socket.socket()
    with listener, client:
        client.settimeout(10)
        try:
            client.connect(listener.getsockname())
        except TimeoutError:
            return False
    return True


def _relay() -> list[dict[str, bool]]:
    from natlab.faults.inject import Faults
    from natlab.network.loading import load
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    with (
        standing(load("dual_stack,nat_a=none,nat_b=none")) as network,
        Programs(Path("/run")) as programs,
        udp_socket(network.pid("host_a"), network.address("host_a"), 4000) as a,
        udp_socket(network.pid("host_b"), network.address("host_b"), 4000) as b,
        udp_socket(network.pid("server"), "0.0.0.0", 4000) as server,
    ):
        with in_namespace(network.pid("host_c")):
            c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with in_namespace(network.pid("server")):
            server6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        server6.bind(("2001:db8:5::2", 4006))

        def passing(wait: float) -> dict[str, bool]:
            return {
                "to the first address": _arrives(a, ("192.0.2.2", 4000), server, wait) is not None,
                "to the second": _arrives(a, ("192.0.2.3", 4000), server, wait) is not None,
                "from it": _arrives(server, a.getsockname(), a, wait) is not None,
                "IPv6": _arrives(c, ("2001:db8:5::2", 4006), server6, wait) is not None,
                "between the hosts": _arrives(a, b.getsockname(), b, 10) is not None,
                "TCP": _tcp_passes(network, "host_a", "server"),
            }

        faults = Faults(network, programs)
        with c, server6:
            found = [passing(10)]
            faults.inject(parse_action("relay-cut server"))
            found.append(passing(GONE))
            faults.inject(parse_action("relay-restore server"))
            found.append(passing(10))
        return found


def test_a_relay_that_is_cut_has_tcp_alone_until_it_is_restored() -> None:
    before, meanwhile, after = warm.call(_TIMEOUT, _relay)
    assert before == after == dict.fromkeys(before, True)
    assert [name for name, passes in meanwhile.items() if passes] == ["between the hosts", "TCP"]


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
    assert warm.call(_TIMEOUT, _programs, tmp_path) == [
        -signal.SIGKILL,
        -signal.SIGKILL,
        7,
        "work-3",
        True,
        "work: ended before, with status 7",
    ]


def _refused(action: str) -> None:
    with _faulty("port-restricted-cone") as (_, faults):
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
        warm.call(_TIMEOUT, _refused, action)
    assert words in str(caught.value)


def _misuse() -> list[str]:
    said = []
    with _faulty("port-restricted-cone") as (_, faults):
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
    assert warm.call(_TIMEOUT, _misuse) == [
        "nat_a cannot change from port-restricted-cone to none",
        "nat_b cannot change from none to full-cone",
        "the way from nat_a to nat_b is not blocked",
        "the relay server is not cut",
        "the relay host_b is cut already",
    ]


def _scheduled(directory: Path) -> tuple[list[str], list[str], list[bool]]:
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
        ups = []
        for host in ("host_a", "host_b"):
            with in_namespace(network.pid(host)):
                words = ["ip", "-br", "link", "show", f"{host}-eth0"]
                said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            ups.append("UP" in said.split())
        injected = sorted(str(each.fault) for each in schedule.injected)
        return injected, [str(each) for each in schedule.missed], ups


def test_faults_come_at_their_times_and_events_and_the_missed_ones_are_known(
    tmp_path: Path,
) -> None:
    assert warm.call(_TIMEOUT, _scheduled, tmp_path) == (
        ["link-down host_a", "signal work TERM"],
        ["on=work:ended:link-down host_b", "at=86400s:nat-reboot nat_a"],
        [False, True],
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
        warm.call(_TIMEOUT, _failing_schedule, tmp_path)


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
    told = warm.call(_TIMEOUT, _schedule_whose_thread_breaks, tmp_path)
    assert told == ["ZeroDivisionError('of link-down host_a')"]
