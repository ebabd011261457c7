"""A real miniupnpd on a router: PCP, NAT-PMP and UPnP-IGD for the hosts inside."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from natlab.errors import NetworkError
from natlab.sandbox.netns import in_namespace

READY_WITHIN = 10.0
_READY = b"HTTP listening on port"


class PortMapper:
    """Runs in the namespace of process `pid` from its making until `end`. Raises `NetworkError` if it does not start."""

    def __init__(self, pid: int, configuration: str) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="miniupnpd-")
        at = Path(self._place.name)
        (at / "conf").write_text(configuration, encoding="ascii")
        argv = ["miniupnpd", "-d", "-f", str(at / "conf"), "-P", str(at / "pid")]
        try:
            with (at / "log").open("wb") as log, in_namespace(pid):
                self._process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        except OSError as error:
            self._place.cleanup()
            raise NetworkError(
                f"cannot start miniupnpd: {error.strerror}; install Debian's package "
                "miniupnpd-nftables"
            ) from None
        self._wait(at / "log")

    def end(self) -> None:
        """The router maps nothing any more."""
        self._process.kill()
        self._process.wait()
        self._place.cleanup()

    def _wait(self, log: Path) -> None:
        until = time.monotonic() + READY_WITHIN
        while _READY not in (said := log.read_bytes()):
            if self._process.poll() is not None or time.monotonic() > until:
                words = said.decode("utf-8", "replace").strip().splitlines()[-1:]
                self.end()
                raise NetworkError(f"miniupnpd does not start: {' '.join(words)}")
            time.sleep(0.005)
