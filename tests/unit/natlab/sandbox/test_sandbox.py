"""The parts of the sandbox that need no namespaces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from natlab.errors import SandboxError, SandboxUnavailableError
from natlab.sandbox import machine, sandbox


def write(settings: Path, name: str, value: str) -> None:
    path = settings / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n", encoding="ascii")


def test_no_remedy_where_nothing_forbids_namespaces(tmp_path: Path) -> None:
    write(tmp_path, "kernel/apparmor_restrict_unprivileged_userns", "0")
    write(tmp_path, "user/max_user_namespaces", "1000")
    assert machine.remedies(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "kernel/unprivileged_userns_clone",
            "0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"),
    ],
)
def test_each_switch_against_namespaces_has_its_command(
    tmp_path: Path, name: str, value: str, remedy: str
) -> None:
    write(tmp_path, name, value)
    assert machine.remedies(tmp_path) == [remedy]


def test_the_search_path_ends_with_the_system_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/home/me/bin:/usr/bin")
    assert machine.search_path() == "/home/me/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin"


def test_a_refused_namespace_is_one_error_with_reason_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an `unshare` that does what the real one does where namespaces are forbidden."""
    unshare = tmp_path / "unshare"
    unshare.write_text("#!/bin/sh\necho 'unshare: unshare failed: Not permitted' >&2; exit 1\n")
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SandboxUnavailableError, match=r"failed: Not permitted\. Remedy: \w"):
        sandbox.call(5, os.getpid)


def test_a_function_that_cannot_be_imported_is_refused() -> None:
    def local() -> None: ...

    for function in (local, lambda: None):
        with pytest.raises(SandboxError, match="call a function at the top of a module"):
            sandbox.call(5, function)


def test_without_util_linux_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_UNSHARE", ("no-such-program",))
    with pytest.raises(SandboxUnavailableError, match=r"no-such-program.*install.*util-linux"):
        sandbox.call(5, os.getpid)
