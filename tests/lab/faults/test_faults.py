"""Each fault does happen: by packets, by what the kernel holds, by what programs do."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import re
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
from natlab.nat.ruleset import Firewall
from natlab.presets import preset
from natlab.probe.sockets import one_cpu
from natlab.sandbox.netns import in_namespace, udp_socket
from tests.lab import warm

if TYPE_CHECKING:
    from natlab.faults.inject import Faults
    from natlab.network.network import Network
    from natlab.topologies.two_nats import TwoNatsNetwork

_TIMEOUT = 50.0
SERVER = ("192.0.2.2", 5000)
NATS = ["full-cone", "restricted-cone", "port-restricted-cone", "symmetric", "linux-masquerade"]
NATS += [f"iptables {name}" for name in NATS[:-1]]
"""The rules of the last are iptables and ipset."""


@contextmanager
def _faulty(nat_a: str, nat_b: str = "none") -> Iterator[tuple[TwoNatsNetwork, Faults]]:
    from natlab.faults.inject import Faults
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    firewall, _, name = nat_a.rpartition(" ")
    with (
        two_nats_network(name, nat_b, Firewall(firewall or "nftables")) as network,
        Programs(Path("/run")) as programs,
        one_cpu(),
    ):
        yield network, Faults(network, programs)


def _say(text: str, source: socket.socket, target: tuple[str, int]) -> None:
    source.sendto(text.encode(), target)


def _heard(at: socket.socket, last: str) -> list[str]:
    """All that arrives, in order, up to `last`, which has to come.

    On one CPU no datagram overtakes another: what was sent before `last` and is not here is lost.
    """
    return [text for text, _ in _heard_from(at, last)]


def _heard_from(at: socket.socket, last: str) -> list[tuple[str, tuple[str, int]]]:
    """As `_heard`, with the source of each."""
    at.settimeout(10)
    heard: list[tuple[str, tuple[str, int]]] = []
    while not heard or heard[-1][0] != last:
        data, source = at.recvfrom(100)
        heard.append((data.decode(), source))
    return heard


def _mapped(inside: socket.socket, server: socket.socket, text: str) -> tuple[str, int]:
    """The source that the server sees of a datagram from `inside`, which has to come."""
    _say(text, inside, SERVER)
    return _heard_from(server, text)[-1][1]


def _link(where: str) -> list[str]:
    """What the server hears: of host_a while a link is up, down, and up again; of host_b meanwhile."""
    with (
        _faulty("port-restricted-cone") as (network, faults),
        udp_socket(network.pid("host_a"), "0.0.0.0") as inside,
        udp_socket(network.pid("host_b"), "0.0.0.0") as elsewhere,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        _say("up", inside, SERVER)
        heard = _heard(server, "up")
        faults.link_down(where)
        try:
            _say("down", inside, SERVER)
        except OSError as error:
            heard.append(str(error.strerror))
        _say("meanwhile", elsewhere, SERVER)
        heard += _heard(server, "meanwhile")
        faults.link_up(where)
        _say("up again", inside, SERVER)
        # What a host said towards a neighbour that was away may have waited for it.
        return heard + [text for text in _heard(server, "up again") if text != "down"]


@pytest.mark.parametrize(
    ("where", "heard"),
    [
        ("host_a", ["up", "Network is unreachable", "meanwhile", "up again"]),
        ("nat_a-wan", ["up", "meanwhile", "up again"]),
        ("nat_a", ["up", "meanwhile", "up again"]),
    ],
)
def test_a_link_that_is_down_carries_nothing_and_comes_back_with_its_routes(
    where: str, heard: list[str]
) -> None:
    assert warm.call(_TIMEOUT, _link, where) == heard


def _remembered(pid: int) -> tuple[int, int]:
    """Elements of the NAT's maps and sets, and tracked UDP flows."""
    with in_namespace(pid):
        ruleset, sets, flows = (
            subprocess.run(words, check=True, capture_output=True, text=True).stdout
            for words in (
                ["nft", "list", "ruleset"],
                ["ipset", "save"],
                ["conntrack", "-L", "-p", "udp"],
            )
        )
    elements = ruleset.count(" expires ") + len(re.findall("^add ", sets, re.MULTILINE))
    return elements, len(flows.splitlines())


def _reboot(nat: str) -> dict[str, object]:
    with (
        _faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as inside,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        mapped = _mapped(inside, server, "open")
        _say("before", server, mapped)
        heard = _heard(inside, "before")
        remembered_before = _remembered(network.pid("nat_a"))
        faults.reboot("nat_a")
        remembered = _remembered(network.pid("nat_a"))
        _say("after", server, mapped)
        _say("opened again", server, _mapped(inside, server, "open again"))
        heard += _heard(inside, "opened again")
        return {"before": remembered_before, "after": remembered, "heard": heard}


@pytest.mark.parametrize("nat", NATS)
def test_a_rebooted_nat_remembers_nothing(nat: str) -> None:
    seen = warm.call(_TIMEOUT, _reboot, nat)
    assert seen.pop("before") != (0, 0)
    assert seen == {"after": (0, 0), "heard": ["before", "opened again"]}


def _swap(before: str, after: str) -> None:
    from natlab.probe.network import probe_nat
    from natlab.probe.observe import check

    with _faulty(before) as (network, faults):
        check(preset(before.rpartition(" ")[2]), probe_nat(network, "nat_a"))
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
        ("iptables full-cone", "symmetric"),
        ("iptables symmetric", "linux-masquerade"),
        ("iptables linux-masquerade", "restricted-cone"),
    ],
)
def test_a_swapped_nat_is_by_its_probes_the_other_one(before: str, after: str) -> None:
    warm.call(_TIMEOUT, _swap, before, after)


def _new_address(nat: str) -> dict[str, object]:
    with (
        _faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as inside,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        old = _mapped(inside, server, "from the old")
        faults.change_address("nat_a", "203.0.113.77")
        new = _mapped(inside, server, "from the new")
        _say("to the old", server, old)
        _say("to the new", server, new)
        return {"from": [old[0], new[0]], "heard": _heard(inside, "to the new")}


@pytest.mark.parametrize(
    "nat", ["full-cone", "symmetric", "linux-masquerade", "iptables full-cone"]
)
def test_a_nat_with_a_new_address_sends_from_it_and_is_deaf_at_the_old(nat: str) -> None:
    assert warm.call(_TIMEOUT, _new_address, nat) == {
        "from": ["203.0.113.2", "203.0.113.77"],
        "heard": ["to the new"],
    }


def _expire(nat: str) -> dict[str, object]:
    with (
        _faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as first,
        udp_socket(network.pid("host_a"), "10.0.1.2", 4001) as second,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        both = [_mapped(each, server, f"open {each.getsockname()[1]}") for each in (first, second)]
        ended = [faults.expire("nat_a", "host_a", 4000)]
        _say("to the ended", server, both[0])
        _say("to the neighbour", server, both[1])
        heard_by_second = _heard(second, "to the neighbour")
        ended.append(faults.expire("nat_a", "host_a"))
        _say("to the neighbour, ended", server, both[1])
        for inside in (first, second):
            again = _mapped(inside, server, f"open {inside.getsockname()[1]} again")
            _say("opened again", server, again)
        return {
            "ended": ended,
            "heard by 4000": _heard(first, "opened again"),
            "heard by 4001": heard_by_second + _heard(second, "opened again"),
        }


@pytest.mark.parametrize("nat", NATS)
def test_an_expired_mapping_is_closed_and_its_neighbour_is_not(nat: str) -> None:
    assert warm.call(_TIMEOUT, _expire, nat) == {
        "ended": [1, 1],
        "heard by 4000": ["opened again"],
        "heard by 4001": ["to the neighbour", "opened again"],
    }


def _nothing_to_expire(nat: str) -> None:
    with _faulty(nat) as (_, faults):
        faults.expire("nat_a", "host_a", 4000)


@pytest.mark.parametrize("nat", ["full-cone", "iptables full-cone", "linux-masquerade"])
def test_a_mapping_that_is_not_there_cannot_expire(nat: str) -> None:
    with pytest.raises(NetworkError, match="nat_a has no mapping of host_a:4000 that could expire"):
        warm.call(_TIMEOUT, _nothing_to_expire, nat)


def _one_way() -> dict[str, list[str]]:
    """What each of two public hosts hears of what the other says, while one way is blocked and not."""
    with (
        _faulty("none", "none") as (network, faults),
        udp_socket(network.pid("host_a"), network.address("host_a"), 4000) as a,
        udp_socket(network.pid("host_b"), network.address("host_b"), 4000) as b,
    ):

        def both_say(text: str) -> None:
            _say(text, a, b.getsockname())
            _say(text, b, a.getsockname())

        both_say("open")
        faults.block("host_a", "host_b")
        both_say("blocked")
        faults.unblock("host_a", "host_b")
        both_say("open again")
        return {"host_a": _heard(a, "open again"), "host_b": _heard(b, "open again")}


def test_a_blocked_way_is_blocked_one_way() -> None:
    assert warm.call(_TIMEOUT, _one_way) == {
        "host_a": ["open", "blocked", "open again"],
        "host_b": ["open", "open again"],
    }


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


def _relay() -> dict[str, list[bool] | list[str]]:
    """Whether TCP passes, and what each hears, while the relay is whole, cut, and restored."""
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

        def all_say(text: str) -> None:
            _say(text, a, ("192.0.2.2", 4000))
            _say(text + " to the second", a, ("192.0.2.3", 4000))
            _say(text + " over IPv6", c, ("2001:db8:5::2", 4006))
            _say(text + " from the relay", server, a.getsockname())
            _say(text + " from host_b", b, a.getsockname())

        faults = Faults(network, programs)
        with c, server6, one_cpu():
            all_say("whole")
            tcp = [_tcp_passes(network, "host_a", "server")]
            faults.inject(parse_action("relay-cut server"))
            all_say("cut")
            tcp.append(_tcp_passes(network, "host_a", "server"))
            faults.inject(parse_action("relay-restore server"))
            all_say("restored")
            tcp.append(_tcp_passes(network, "host_a", "server"))
            return {
                "TCP": tcp,
                "the relay": _heard(server, "restored to the second"),
                "the relay over IPv6": _heard(server6, "restored over IPv6"),
                "host_a": _heard(a, "restored from host_b"),
            }


def test_a_relay_that_is_cut_has_tcp_alone_until_it_is_restored() -> None:
    assert warm.call(_TIMEOUT, _relay) == {
        "TCP": [True, True, True],
        "the relay": ["whole", "whole to the second", "restored", "restored to the second"],
        "the relay over IPv6": ["whole over IPv6", "restored over IPv6"],
        "host_a": [
            *("whole from the relay", "whole from host_b"),
            "cut from host_b",
            *("restored from the relay", "restored from host_b"),
        ],
    }


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
