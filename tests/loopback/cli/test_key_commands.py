"""`genkey`, `identity`, and a checkout's own `.venv`, as processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nat_traversal import __version__
from nat_traversal.cli.main import main
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.keyfile import IDENTITY, PUBLIC, SHARED, as_text, parse_key
from tests import ROOT
from tests.loopback import warm
from tests.loopback.beforehand import stdout_is

NAT_TRAVERSAL = (sys.executable, "-m", "nat_traversal")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


class TestGenkey:
    """A shared key on stdout."""

    def test_it_prints_one_key_and_never_the_same(self) -> None:
        made = [warm.run("genkey") for _ in range(2)]
        keys = {parse_key(SHARED, each.stdout, "stdout") for each in made}
        assert len(keys) == 2
        assert [(each.returncode, each.stderr) for each in made] == [(0, ""), (0, "")]

    @pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o600, False)])
    def test_it_warns_of_a_file_that_others_can_read(
        self, tmp_path: Path, mode: int, *, warned: bool
    ) -> None:
        path = tmp_path / "key"
        path.touch()
        path.chmod(mode)
        with path.open("w") as file:
            told = warm.run("genkey", before=stdout_is(file.fileno())).stderr
        assert parse_key(SHARED, path.read_text(), "file")
        assert ("chmod 600 it" in told) == warned

    def test_a_key_that_could_not_be_written_is_an_error(self) -> None:
        with Path("/dev/full").open("w") as full:
            made = warm.run("genkey", before=stdout_is(full.fileno()))
        assert made.returncode == 2
        assert made.stderr == "error: it could not be written: stdout takes nothing\n"
        closed = warm.run("genkey", before="import os; os.close(1)")
        assert (closed.returncode, closed.stderr) == (2, made.stderr)


class TestIdentity:
    """A host's own key."""

    def test_it_is_made_once_and_its_public_half_is_printed_each_time(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "folder" / "identity"
        first = run(*NAT_TRAVERSAL, "identity", str(path))
        text = path.read_text()
        pair = KeyPair(parse_key(IDENTITY, text, "file"))
        assert first.returncode == 0
        assert first.stdout == as_text(PUBLIC, pair.public) + "\n"
        assert path.stat().st_mode & 0o777 == 0o600
        again = warm.run("identity", str(path))
        assert (again.returncode, again.stdout) == (0, first.stdout)
        assert "is there already" in again.stderr
        assert path.read_text() == text
        secret = text.strip()[len(IDENTITY) :]
        assert secret not in first.stdout + first.stderr + again.stdout + again.stderr

    def test_its_usual_place_is_the_users_state(self, tmp_path: Path) -> None:
        made = warm.run("identity", STATE_DIRECTORY=str(tmp_path))
        assert made.stdout.startswith(PUBLIC)
        assert [path.name for path in tmp_path.iterdir()] == ["identity"]

    def test_a_file_that_is_something_else_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "notes"
        path.write_text("my notes")
        path.chmod(0o600)
        refused = warm.run("identity", str(path))
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "no such key stands there" in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert path.read_text() == "my notes"

    def test_without_the_package_it_says_what_to_install(self, tmp_path: Path) -> None:
        # -S: without site-packages, so without the package
        path = tmp_path / "identity"
        refused = run(sys.executable, "-S", *NAT_TRAVERSAL[1:], "identity", str(path))
        assert refused.returncode == 2
        assert refused.stderr == (
            "error: sealing needs the package cryptography: apt install python3-cryptography, "
            "or pip install cryptography\n"
        )
        assert not path.exists()


class TestInThisProcess:
    """The same two, for what a process cannot show."""

    def test_a_key_and_an_identity(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert main(["genkey"]) == 0
        assert main(["identity", str(tmp_path / "identity")]) == 0
        assert main(["identity", str(tmp_path / "identity")]) == 0
        shared, one, other = capfd.readouterr().out.splitlines()
        assert parse_key(SHARED, shared, "stdout")
        assert one == other
        assert parse_key(PUBLIC, one, "stdout")

    def test_one_line_for_what_is_wrong(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["identity", str(tmp_path)]) == 2
        assert capfd.readouterr() == (
            "",
            f"error: {tmp_path}: Is a directory\n",
        )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter without packages."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return str(folder / "bin" / "python")


class TestVenv:
    """The two scripts of a checkout that has been set up, run by a Python without its packages."""

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        checkout = tmp_path / "checkout"
        (checkout / ".venv" / "bin").mkdir(parents=True)
        for name in ("traversal_client.py", "traversal_server.py"):
            (checkout / name).write_text((ROOT / name).read_text())
        (checkout / "nat_traversal").symlink_to(ROOT / "nat_traversal")
        return checkout

    @staticmethod
    def interpreter(checkout: Path, *lines: str) -> None:
        """Put a shell script in the place of the checkout's interpreter."""
        python = checkout / ".venv" / "bin" / "python"
        python.write_text("\n".join(("#!/bin/sh", *lines, "")))
        python.chmod(0o755)

    @pytest.mark.parametrize("name", ["traversal_client.py", "traversal_server.py"])
    def test_its_interpreter_gets_the_arguments_and_gives_the_status(
        self, checkout: Path, bare: str, name: str
    ) -> None:
        self.interpreter(checkout, """printf '<%s>' "$@" """, "exit 42")
        script = str(checkout / name)
        done = run(bare, "-u", script, "-r", "a b", "--listen", "*")
        assert done.returncode == 42
        assert done.stdout == f"<-u><{script}><-r><a b><--listen><*>"

    def test_with_the_packages_it_goes_on_as_it_is(self, checkout: Path) -> None:
        self.interpreter(checkout, "exit 42")
        done = run(sys.executable, str(checkout / "traversal_client.py"), "--version")
        assert (done.returncode, done.stdout) == (0, f"{__version__}\n")

    def test_a_venv_without_the_package_is_tried_once(self, checkout: Path, bare: str) -> None:
        self.interpreter(checkout, "echo tried >&2", f'exec {bare} "$@"')
        done = run(bare, str(checkout / "traversal_server.py"), "--version")
        assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
        assert done.stderr == "tried\n"

    @pytest.mark.parametrize("broken", ["missing", "not executable", "dangling"])
    def test_one_that_cannot_run_is_passed_over(
        self, checkout: Path, bare: str, broken: str
    ) -> None:
        python = checkout / ".venv" / "bin" / "python"
        if broken == "not executable":
            python.write_text("")
        elif broken == "dangling":
            python.symlink_to("/nowhere/python")
        done = run(bare, str(checkout / "traversal_client.py"), "--version")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")
