"""The pytest plugin, in pytest runs of its own, as somebody else would use it."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from tests import ROOT
from tests.lab.testbed.runs import STRICT, run, run_pytest

pytest_plugins = ["pytester"]


pytestmark = pytest.mark.usefixtures("this_checkout")


def test_it_is_an_entry_point() -> None:
    (found,) = metadata.entry_points(group="pytest11", name="nat_lab")
    assert found.value == "natlab.testbed.plugin"


def test_it_imports_nothing_heavy_into_a_run_that_does_not_use_it(
    pytester: pytest.Pytester,
) -> None:
    source = """
        import sys
        def test_modules(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("nat_lab")
            heavy = ("mininet", "scapy", "rich", "jinja2", "nat_traversal", "natlab.")
            loaded = [name for name in sys.modules if name.startswith(heavy)]
            light = {"natlab.testbed", "natlab.testbed.plugin", "natlab.testbed.mark_words"}
            assert set(loaded) == light
    """
    pytester.makepyfile(source)
    assert pytester.runpytest_subprocess(*STRICT, timeout=100).parseoutcomes() == {"passed": 1}


_MANY = """
    import os, socket, sys
    import pytest

    def our_address(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            opened.connect(("192.0.2.2", port))
            return opened.getsockname()[0]

    def refuse(reason):
        raise ValueError(reason)

    @pytest.mark.nat_pairs(("none", "symmetric"), every=["full-cone"])
    def test_functions_run_on_the_host(nat_lab, tmp_path):
        expected = {"none": "203.0.113.130", "full-cone": "10.0.1.2"}[nat_lab.nat_a]
        assert nat_lab.call("host_a", our_address, 53) == expected
        assert nat_lab.environment("host_a")["LAB_SELF"] == expected
        with pytest.raises(ValueError, match="as it wants"):
            nat_lab.call("host_b", refuse, "as it wants")
        assert "mininet" not in sys.modules and "scapy" not in sys.modules

    @pytest.mark.nat_pairs(("full-cone", "none"), firewall="iptables")
    def test_the_rules_are_iptables(nat_lab):
        assert "--add-set eif src,src" in nat_lab.rules["nat_a"]
        assert "nft" not in nat_lab.rules["nat_a"]

    def test_programs_packets_and_errors(nat_lab):
        from natlab.errors import ProgramError
        from nat_traversal.errors import UsageError
        assert (nat_lab.nat_a, nat_lab.nat_b) == ("port-restricted-cone", "port-restricted-cone")
        cat = nat_lab.start("server", "socat -u UDP4-RECV:5000 -", ready="udp:5000")
        talk = nat_lab.start("host_a", "socat -u - UDP4:$LAB_SERVER:5000", interactive=True)
        talk.send("hello\\n")
        assert cat.wait_for_line("h(el+)o", timeout=20)[1] == "ell"
        talk.close_stdin()
        assert talk.wait() == 0
        assert cat.exit_status is None and cat.terminate() in (143, -15)
        done = nat_lab.run("host_b", ["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (done.status, done.stdout, done.stderr) == (3, "out\\n", "err\\n")
        with pytest.raises(ProgramError, match="there is no program nonesuch"):
            nat_lab.start("host_a", "nonesuch")
        with pytest.raises(UsageError, match="no node 'host_c': choose from host_a"):
            nat_lab.start("host_c", "true")
        sent = [packet for packet in nat_lab.packets() if packet.payload == b"hello\\n"]
        assert [packet.point for packet in sent] == [
            "host_a-eth0", "nat_a-lan", "nat_a-wan", "server-eth0"
        ]
        assert str(sent[-1].source).startswith("203.0.113.2:")
        assert nat_lab.trace().rounds == ()
"""


@pytest.mark.timeout(110)
def test_a_run_in_two_workers_that_passes_leaves_no_files(pytester: pytest.Pytester) -> None:
    kept = pytester.path / "kept"
    outcomes, result = run(pytester, _MANY, "-v", f"--nat-lab-keep={kept}", "-n", "2")
    assert outcomes == {"passed": 4}
    assert "test_functions_run_on_the_host[full-cone--full-cone]" in result.stdout.str()
    assert not any(kept.iterdir())


_FAILING = """
    import pytest

    @pytest.mark.nat_pairs(("full-cone", "symmetric"))
    def test_it(nat_lab):
        nat_lab.start("host_a", "sh -c 'echo about to fail'").wait()
        nat_lab.run("host_a", "dig @$LAB_SERVER +tries=1 +time=1 lost.example")
        assert False, "on purpose"
"""


@pytest.mark.timeout(110)
@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_failure_keeps_its_files_and_names_them(
    options: tuple[str, ...], pytester: pytest.Pytester
) -> None:
    outcomes, result = run(pytester, _FAILING, *options)
    assert outcomes == {"failed": 1}
    section = result.stdout.str().partition("NAT lab full-cone × symmetric")[2]
    named = {
        Path(found).name: Path(found) for found in re.findall(r"^/.*\S", section, re.MULTILINE)
    }
    assert named.keys() == {
        "capture.pcapng", "ladder.txt", "nat_a.rules", "nat_b.rules", "probes.txt", "links.txt",
        "host_a-sh.stdout", "host_a-dig.stdout",
    }  # fmt: skip
    assert named["host_a-sh.stdout"].read_text() == "about to fail\n"
    assert "links: delay 5 ms (the default)" in section
    assert "no NAT dropped a packet" in section
    assert "UDP 10.0.1.2:" in section.partition("/ladder.txt")[0]
    assert "ICMP port unreachable from 192.0.2.2" in named["ladder.txt"].read_text()
    assert "203.0.113.2" in named["nat_a.rules"].read_text()


_DROPPED = """
    import pytest
    from natlab.errors import ProgramError

    @pytest.mark.nat_pairs(("full-cone", "port-restricted-cone"))
    def test_it(nat_lab):
        nat_lab.run("host_b", "sh -c 'echo hole | socat - UDP4:$LAB_SERVER:9,bind=:5000'")
        deaf = nat_lab.start("host_b", "socat -u UDP4-RECV:5000 -", ready="udp:5000")
        for _ in range(3):
            nat_lab.run("host_a", "sh -c 'echo hello | socat - UDP4:$LAB_B:5000,bind=:6000'")
        deaf.wait_for_line("hello", timeout=0.1)
"""


def test_a_failure_says_what_was_dropped_and_shows_the_frames_of_the_test_alone(
    pytester: pytest.Pytester,
) -> None:
    outcomes, result = run(pytester, _DROPPED)
    assert outcomes == {"failed": 1}
    said = result.stdout.str()
    told = (
        "nat_b dropped 3 datagrams from 203.0.113.2:6000: only 192.0.2.2:9 had been sent to from"
        " 198.51.100.2:5000"
    )
    assert told in said
    frames = re.findall(r"^(\S+\.py):[0-9]+:", said, re.MULTILINE)
    assert set(frames) == {
        "test_a_failure_says_what_was_dropped_and_shows_the_frames_of_the_test_alone.py"
    }
    assert "in the sandbox" not in said


_REFUSED = """
    def test_a_variable(nat_lab):
        nat_lab.run("host_a", "ping $LAB_NOWHERE")

    def test_a_node(nat_lab):
        nat_lab.start("host_z", "true")

    def test_a_fault(nat_lab):
        nat_lab.inject("nap nat_a")
"""


def test_a_refusal_shows_the_frames_of_the_test_alone(pytester: pytest.Pytester) -> None:
    outcomes, result = run(pytester, _REFUSED)
    assert outcomes == {"failed": 3}
    frames = re.findall(r"^(\S+\.py):[0-9]+:", result.stdout.str(), re.MULTILINE)
    assert frames == ["test_a_refusal_shows_the_frames_of_the_test_alone.py"] * 3
    for words in ("there is no $LAB_NOWHERE here", "there is no node 'host_z'", "'nap'"):
        result.stdout.fnmatch_lines([f"E *{words.replace('$', '[$]')}*"])


def test_a_directory_for_the_files_can_be_named(pytester: pytest.Pytester) -> None:
    assert run(pytester, _FAILING, "--nat-lab-keep=kept")[0] == {"failed": 1}
    (directory,) = (pytester.path / "kept").iterdir()
    assert directory.name.endswith("test_it-full-cone-symmetric")
    assert (directory / "capture.pcapng").stat().st_size > 1000


_HUNG = """
    import signal, time
    import pytest
    from natlab.errors import LabError

    def give_up(*_):
        raise TimeoutError("given up")

    def test_it(nat_lab):
        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        nat_lab.start("host_a", "sleep 1000").wait_for_line("never", timeout=3)
"""


def test_a_test_that_was_given_up_while_it_waited_keeps_its_files_too(
    pytester: pytest.Pytester,
) -> None:
    outcomes, result = run(pytester, _HUNG)
    assert outcomes == {"failed": 1}
    assert "TimeoutError: given up" in result.stdout.str()
    assert re.search(r"^/.*/capture\.pcapng$", result.stdout.str(), re.MULTILINE)


def test_without_namespaces_a_test_fails_with_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "unshare"
    fake.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    pytester.makepyfile("def test_it(nat_lab): pass")
    result = pytester.runpytest_subprocess(*STRICT, timeout=100)
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(
        ["*the NAT lab cannot work here: *unshare failed: Operation not permitted*Remedy: *"]
    )


def test_a_mark_that_cannot_be_meant_fails_its_test_alone_with_test_and_line(
    pytester: pytest.Pytester,
) -> None:
    complaints = {
        "nat_pairs(('cone', 'none'))": "nat_pairs: unknown NAT 'cone'",
        "nat_pairs('none', 'none')": "nat_pairs: not pairs of NATs",
        "nat_pairs()": "nat_pairs: not pairs of NATs",
        "nat_pairs(every='none')": "nat_pairs: every='none': give a list of NATs",
        "nat_pairs(every=['none'], except_for=[])": "nat_pairs: unknown argument 'except_for'",
        "nat_pairs(('none', 'none'), delay='soon')": "nat_pairs: delay: 'soon' is no duration",
        "nat_pairs(('none', 'none'), delay=[5])": "nat_pairs: delay: [5] must be a text or a number",
        "nat_pairs(('none', 'none'), faults=['at=1s:nap nat_a'])": "unknown action 'nap'",
        "nat_pairs(('none', 'none'), faults=['at=1s:link-down nat_z'])": "there is no node or interface 'nat_z'",
        "nat_topology()": "nat_topology: not topologies",
        "nat_topology(4)": "nat_topology: not topologies",
        "nat_topology('star', peers=4)": "nat_topology: unknown argument 'peers'",
        "nat_pairs(('none', 'none'), firewall='pf')": "'pf' is no firewall: choose from nftables",
        "nat_pairs(('none', 'cgnat'), firewall='iptables')": "iptables makes none, full-cone",
    }
    source = "import pytest\n"
    lines = {}
    for number, mark in enumerate(complaints):
        lines[number] = source.count("\n") + 1
        source += f"@pytest.mark.{mark}\ndef test_{number}(nat_lab): pass\n"
    source += "@pytest.mark.nat_pairs(('none', 'none'))\ndef test_without(): pass\n"
    source += "def test_of_no_lab(): pass\n"
    pytester.makepyfile(test_marks=source)
    result = run_pytest(pytester, *STRICT)
    assert result.parseoutcomes() == {"errors": len(complaints) + 1, "passed": 1}
    said = result.stdout.str()
    for number, complaint in enumerate(complaints.values()):
        where = f"test_marks.py:{lines[number]}: test_{number}["
        (told,) = [line for line in said.splitlines() if line.startswith(where)]
        assert complaint in told
    assert "test_without: it has the mark nat_pairs but not the fixture nat_lab" in said
    assert "During handling" not in said


_STACKED = """
    import pytest

    pytestmark = pytest.mark.nat_pairs(("none", "symmetric"))

    @pytest.mark.nat_pairs(("full-cone", "none"), delay="30ms/10ms", loss="0%", mtu=1400)
    @pytest.mark.nat_pairs(("full-cone", "none"))
    @pytest.mark.nat_topology("star,peers=2", delay="0")
    def test_it(nat_lab):
        words = nat_lab.run("host_b" if "nat_b" in nat_lab.nats else "host_2", "ping -c3 -i.2 $LAB_SERVER")
        print(nat_lab.name, nat_lab.links, words.stdout)

    @pytest.mark.nat_pairs(
        ("none", "none"), faults=["at=0s:link-down host_b", "on=says:now:link-down host_a"]
    )
    def test_faults(nat_lab):
        nat_lab.start("host_a", "echo now", name="says")
        down = "sh -c 'until ip -br link show %s-eth0 | grep -q DOWN; do sleep .05; done'"
        if nat_lab.nat_b == "none":
            assert [nat_lab.run(host, down % host).status for host in ("host_a", "host_b")] == [0, 0]

    @pytest.mark.nat_pairs(("none", "none"), faults=["at=10m:link-down host_b"])
    def test_too_short(nat_lab):
        pass
"""


def test_marks_add_up_and_say_what_links_and_faults_there_are(pytester: pytest.Pytester) -> None:
    outcomes, result = run(pytester, _STACKED, "-v", "-rA")
    said = result.stdout.str()
    assert outcomes == {"passed": 8, "errors": 1}, said
    for each in (
        "test_it[full-cone--none delay=30ms/10ms loss=0% mtu=1400] PASSED",
        "test_it[full-cone--none] PASSED",
        "test_it[none--symmetric] PASSED",
        "test_it[star,peers=2 delay=0] PASSED",
        "full-cone × none delay 30 ms; back: delay 10 ms, MTU 1400",
        "full-cone × none delay 5 ms (the default)",
        "star,peers=2 plain",
        "the test ended before these faults: at=600s:link-down host_b",
    ):
        assert each in said, said


_FLOOD = """
    import pytest

    @pytest.mark.nat_pairs(("port-restricted-cone", "port-restricted-cone"), delay="0")
    def test_it(nat_lab):
        nat_lab.start("server", "iperf3 --server", ready="tcp:5201")
        nat_lab.run("host_a", "iperf3 --bytes 60M --client $LAB_SERVER")
        nat_lab.packets()
"""


def test_a_capture_that_lost_packets_is_told_once_and_not_kept(pytester: pytest.Pytester) -> None:
    outcomes, result = run(pytester, _FLOOD)
    assert outcomes == {"failed": 1}
    section = result.stdout.str().partition("NAT lab port-restricted-cone")[2]
    assert section.count("not kept: the kernel dropped") == 1
    assert "capture.pcapng" not in section


_KILLS = """
def test_nothing_comes(nat_lab):
    nat_lab.run("host_a", "sh -c 'kill -9 -1'")
    assert nat_lab.run("host_a", "ping -c1 -W1 $LAB_SERVER").status == 1


def test_closed(nat_lab):
    nat_lab.close()


def test_patterns(nat_lab):
    program = nat_lab.start("host_a", "sleep 9")
    with pytest.raises(UsageError, match="no regular expression"):
        program.wait_for_line("[")
    with pytest.raises(UsageError, match="no port"):
        program.wait_until_ready("udp:0")
"""


def test_a_test_that_passed_only_because_the_lab_had_been_killed_is_an_error(
    pytester: pytest.Pytester,
) -> None:
    head = "import pytest\nfrom nat_traversal.errors import UsageError\n"
    outcomes, result = run(pytester, head + _KILLS)
    assert outcomes == {"passed": 3, "errors": 1}
    result.stdout.fnmatch_lines(["*broke under this test: something killed the delay line,*"])


def test_the_twenty_lines_in_the_documentation_are_a_test_that_passes(
    pytester: pytest.Pytester,
) -> None:
    document = (ROOT / "docs/lab/pytest.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(.*?)^```", document, re.DOTALL | re.MULTILINE)
    assert snippet.count("\n") == 20
    assert run(pytester, snippet)[0] == {"passed": 2}
