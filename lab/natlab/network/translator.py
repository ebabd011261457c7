"""A translator between IPv6 and IPv4 on a router (tayga), and DNS64 for its hosts (unbound)."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from natlab.errors import NetworkError
from natlab.sandbox.netns import IP, Command, in_namespace, run_together

PREFIX = "2001:db8:64::"
"""With 96 bits: the addresses of IPv4 hosts. The well-known prefix is not for the lab's addresses (RFC 6052 section 3.1)."""
NAME, ADDRESS = "server.lab", "192.0.2.2"
"""A name that its DNS64 knows; as AAAA it is in `PREFIX`."""
RECORDS = {
    NAME: (("2001:db8:64::c000:202",), "a name with IPv4 alone"),
    "both.lab": (("2001:db8:5::3",), "a name that has IPv6"),
    "ipv4only.arpa": (
        ("2001:db8:64::c000:aa", "2001:db8:64::c000:ab"),
        "the name that tells the prefix",
    ),
}
"""The names, the AAAA records that a DNS64 has to tell (RFC 6147 section 5.1, RFC 7050), and which names these are."""
READY_WITHIN = 10.0
_DEVICE = "nat64"
_UPSTREAM_PORT = 5335


@dataclass(frozen=True, slots=True)
class Nat64:
    """The translator's addresses: IPv6 where DNS64 answers, IPv4 of its own, and each host's pair."""

    answers_at: str
    own: str
    hosts: tuple[tuple[str, str], ...]
    """The IPv4 address that stands for each IPv6 address (RFC 7757)."""

    @property
    def tayga(self) -> str:
        maps = "".join(f"map {ipv4} {ipv6}\n" for ipv4, ipv6 in self.hosts)
        return f"tun-device {_DEVICE}\nipv4-addr {self.own}\nprefix {PREFIX}/96\n{maps}"

    @property
    def routes(self) -> str:
        """For ``ip -batch``, once the device is there."""
        lines = [f"link set dev {_DEVICE} up", f"route replace {PREFIX}/96 dev {_DEVICE}"]
        lines += [f"route replace {ipv4}/32 dev {_DEVICE}" for ipv4, _ in self.hosts]
        return "".join(f"{line}\n" for line in lines)

    @property
    def unbound(self) -> str:
        return f"""server:
 interface: {self.answers_at}
 access-control: ::/0 allow
 module-config: "dns64 iterator"
 dns64-prefix: {PREFIX}/96
 do-not-query-localhost: no
 do-daemonize: no
 use-syslog: no
 verbosity: 1
 chroot: ""
 username: ""
 pidfile: ""
forward-zone:
 name: "."
 forward-addr: 127.0.0.1@{_UPSTREAM_PORT}
remote-control:
 control-enable: no
"""


class Translator:
    """Runs in the namespace of process `pid` from its making until `end`. Raises `NetworkError` if it does not start."""

    def __init__(self, pid: int, nat64: Nat64) -> None:
        self._pid = pid
        self._place = tempfile.TemporaryDirectory(prefix="nat64-")
        self._at = Path(self._place.name)
        self._running: list[subprocess.Popen[bytes]] = []
        try:
            self._start(nat64)
        except BaseException:
            self.end()
            raise

    def _start(self, nat64: Nat64) -> None:
        # In memory alone: without the directory that tayga keeps its leases in.
        tayga, unbound = self._at / "tayga.conf", self._at / "unbound.conf"
        tayga.write_text(nat64.tayga, encoding="ascii")
        unbound.write_text(nat64.unbound, encoding="ascii")
        self._run("tayga", "tayga", "-d", "-c", str(tayga))
        self._wait_for_device()
        run_together([Command(IP, nat64.routes, self._pid)])
        # `--no-daemon` also keeps dnsmasq from becoming another user: a sandbox has none but root.
        only = ("--no-resolv", "--no-hosts", "--no-daemon", "--conf-file=/dev/null")
        where = (f"--port={_UPSTREAM_PORT}", "--listen-address=127.0.0.1", "--bind-interfaces")
        zone = (
            f"--host-record={NAME},{ADDRESS}",
            "--host-record=both.lab,192.0.2.3,2001:db8:5::3",
            *(f"--host-record=ipv4only.arpa,192.0.0.{last}" for last in (170, 171)),
            "--pid-file=",
        )
        self._run("dnsmasq", "dnsmasq-base", *only, *where, *zone)
        self._wait_for(b"started", "dnsmasq")
        self._run("unbound", "unbound", "-d", "-c", str(unbound))
        self._wait_for(b"start of service", "unbound")

    def end(self) -> None:
        """It translates nothing any more."""
        for process in self._running:
            process.kill()
            process.wait()
        self._place.cleanup()

    def _run(self, program: str, package: str, *words: str) -> None:
        try:
            with (self._at / program).open("wb") as log, in_namespace(self._pid):
                self._running.append(
                    subprocess.Popen(
                        [program, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                )
        except OSError as error:
            raise NetworkError(
                f"cannot start {program}: {error.strerror}; install Debian's package {package}"
            ) from None

    def _wait_for_device(self) -> None:
        until = time.monotonic() + READY_WITHIN
        show = ("ip", "link", "show", "dev", _DEVICE)
        with in_namespace(self._pid):
            while subprocess.run(show, capture_output=True, check=False).returncode:
                self._check("tayga", until)
                time.sleep(0.01)

    def _wait_for(self, words: bytes, program: str) -> None:
        until = time.monotonic() + READY_WITHIN
        while words not in (self._at / program).read_bytes():
            self._check(program, until)
            time.sleep(0.01)

    def _check(self, program: str, until: float) -> None:
        if self._running[-1].poll() is not None or time.monotonic() > until:
            said = (self._at / program).read_bytes().decode("utf-8", "replace")
            raise NetworkError(f"{program} does not start: {' '.join(said.splitlines()[-1:])}")
