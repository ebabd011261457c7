"""Call a Python function in a sandbox of namespaces of its own, without being root.

The sandbox is a user, network, mount and process namespace. In it the function is root, sees no
process but its own, has a loopback interface and nothing else, its own ``/proc``, and an empty
``/run`` (iptables keeps a lock there, and `ip netns` its names). When the function returns, raises,
or its caller dies, even by SIGKILL, the kernel ends every process of the sandbox, and with them go
the interfaces, routes, rules and settings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from pickle import PicklingError
from typing import Any, ParamSpec, TypeVar, cast

from lab.errors import SandboxError, SandboxUnavailableError
from lab.netns import set_sysctl

P = ParamSpec("P")
T = TypeVar("T")

_SETUP_TIMEOUT = 30.0
_EXIT_TIMEOUT = 10.0
_BRIDGE_SETTING = "net.bridge.bridge-nf-call-iptables"
# setpriv ends unshare with its caller; --kill-child ends process 1 of the sandbox with unshare.
_UNSHARE = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--mount-proc"),
    *("--fork", "--kill-child"),
)


def call(timeout: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``function(*args, **kwargs)`` returns or raises, called in a sandbox of its own.

    `function` must be importable by its module and name; the arguments and the answer are pickled.
    It has `timeout` seconds from the moment the sandbox stands. Its stdin, stdout and stderr are this
    process's. Several threads may call at once; the sandbox also ends with the calling thread.

    Raises what `function` raised (as `SandboxError` where that cannot be pickled),
    `SandboxUnavailableError` if this machine does not let us make the namespaces, and
    `SandboxError` if the sandbox gave no answer, in time or at all.
    """
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise SandboxError(
            f"a sandbox cannot import {function.__qualname__} of {function.__module__}:"
            " call a function at the top of a module that can be imported"
        )
    ours, theirs = Pipe()
    stderr = os.dup(2)
    code = f"from lab.sandbox import _serve; _serve({theirs.fileno()}, {stderr})"
    try:
        process = subprocess.Popen(
            [*_UNSHARE, sys.executable, "-c", code],
            pass_fds=(theirs.fileno(), stderr),
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": search_path()},
        )
    except OSError as error:
        ours.close()
        raise SandboxUnavailableError(
            f"cannot start {error.filename}: {error.strerror}; install Debian's util-linux"
        ) from None
    finally:
        theirs.close()
        os.close(stderr)
    with ours, process:
        try:
            answer = _converse(ours, process, timeout, (function, args, kwargs))
            process.wait(_EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise SandboxError(f"{function.__name__} answered but left threads running") from None
        finally:
            process.kill()
    if isinstance(answer, _Raised):
        raise answer.error
    return cast(T, answer)


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception


def _converse(
    connection: Connection[Any, Any],
    process: subprocess.Popen[bytes],
    timeout: float,
    request: tuple[Callable[..., object], object, object],
) -> object:
    try:
        if not connection.poll(_SETUP_TIMEOUT):
            raise SandboxUnavailableError(_unavailable(f"no sandbox after {_SETUP_TIMEOUT:g} s"))
        trouble = connection.recv()
    except EOFError:
        assert process.stderr is not None
        words = process.stderr.read().decode(errors="replace").split("\n")
        if not any(words):  # it had come as far as our own stderr
            raise SandboxError(f"the sandbox ended, exit status {process.wait()}") from None
        raise SandboxUnavailableError(_unavailable(" / ".join(filter(None, words)))) from None
    if trouble is not None:
        raise SandboxUnavailableError(_unavailable(trouble))

    name = request[0].__name__
    try:
        connection.send(request)
        if not connection.poll(timeout):
            raise SandboxError(f"{name} gave no answer in {timeout:g} s")
        return connection.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise SandboxError(
            f"the sandbox ended before {name} did, with exit status {process.wait()}"
        ) from None


def _serve(connection_fd: int, stderr_fd: int) -> None:
    """Process 1 of the sandbox: furnish it, then answer one call."""
    os.dup2(stderr_fd, 2)
    os.close(stderr_fd)
    # Handed to no child of ours, so that the caller sees our end when we end.
    os.set_inheritable(connection_fd, False)
    connection: Connection[Any, Any] = Connection(connection_fd)
    with connection:
        connection.send(_furnish())
        try:
            function, args, kwargs = connection.recv()
        except EOFError:  # the caller has gone
            return
        except (ImportError, AttributeError) as error:
            connection.send(_Raised(SandboxError(f"the sandbox cannot import the call: {error}")))
            return
        try:
            answer = function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            answer = _Raised(_portable(error))
        try:
            connection.send(answer)
        except (TypeError, AttributeError, PicklingError) as error:
            connection.send(
                _Raised(SandboxError(f"{function.__name__} returned what has no copy: {error}"))
            )


def _furnish() -> str | None:
    """Make the new namespaces usable. Returns what went wrong, if anything."""
    for command in (["mount", "-t", "tmpfs", "tmpfs", "/run"], ["ip", "link", "set", "lo", "up"]):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        except subprocess.CalledProcessError as error:
            return f"{' '.join(command)}: {error.stderr.strip()}"
    if Path("/proc/sys", *_BRIDGE_SETTING.split(".")).exists():
        # 1 in a new namespace: bridged frames would pass through the NATs' rules.
        set_sysctl(_BRIDGE_SETTING, 0)
    return None


def _portable(error: Exception) -> Exception:
    """`error` with its traceback as a note, or its text in a `SandboxError` if it has no copy."""
    error.add_note("in the sandbox: " + "".join(traceback.format_exception(error)).rstrip())
    try:
        copy = ForkingPickler.loads(ForkingPickler.dumps(error))
    except (TypeError, AttributeError, PicklingError):
        copy = None
    if isinstance(copy, Exception):
        return error
    substitute = SandboxError(f"{type(error).__name__}: {error}")
    substitute.add_note(error.__notes__[-1])
    return substitute


def search_path() -> str:
    """PATH with the directories where Debian keeps iptables and a user's PATH does not look."""
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*directories, "/usr/local/sbin", "/usr/sbin", "/sbin"]))


_SWITCHES = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "10000"),
    ("user/max_net_namespaces", "0", "10000"),
)


def remedies(settings: Path = Path("/proc/sys")) -> list[str]:
    """Commands that lift what this machine's `settings` hold against namespaces of a user's own."""
    found = []
    for name, bad, good in _SWITCHES:
        try:
            value = (settings / name).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            continue
        if value == bad:
            found.append(f"sudo sysctl -w {name.replace('/', '.')}={good}")
    return found


def _unavailable(reason: str) -> str:
    commands = remedies()
    if commands:
        remedy = " && ".join(commands)
    else:
        remedy = (
            "in a container, allow unshare, mount and an unmasked /proc"
            " (docker run --privileged, or podman run --security-opt unmask=ALL --cap-add SYS_ADMIN)"
        )
    return f"cannot make a sandbox of namespaces: {reason}. Remedy: {remedy}"
