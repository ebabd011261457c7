"""The one option of the test suite, and the repository on the import path."""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path

import pytest

from tests.spreading import spread

_TESTS = Path(__file__).parent
_LAB = _TESTS / "lab"
_LOOPBACK = _TESTS / "loopback"

# All that is collected stays to the end: while pytest collects, Python need not look for garbage in it.
gc.disable()

# A sandbox calls functions of test modules by the names under which pytest imported them.
sys.path.insert(0, str(_TESTS.parent))

# A script starts what runs in its background with Ctrl-C ignored, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So does nohup with a terminal's end, which a client rightly goes on to ignore.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-lab", action="store_true", help="leave out tests/lab, which needs rootless namespaces"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--no-lab"):
        left_out = [item for item in items if _LAB in item.path.parents]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _LAB not in item.path.parents]
    if (workers := getattr(config, "workerinput", {}).get("workercount", 1)) > 1:
        items[:] = spread(items, workers, _waits_in)


def _waits_in(item: pytest.Item) -> str | None:
    return str(item.path) if _LOOPBACK in item.path.parents else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    gc.freeze()
    # Few tests leave cycles behind, and most make hundreds of thousands of objects: looking seldom is enough.
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.getoption("--no-lab"):
        terminalreporter.write_line("tests/lab was left out, as --no-lab asked", yellow=True)
