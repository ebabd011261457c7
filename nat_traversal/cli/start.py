"""The doors of the commands: until the event loop answers Ctrl-C, it ends the process in silence."""

try:
    import os
    import signal
    import sys
    from collections.abc import Callable
    from functools import partial
    from pathlib import Path

    from nat_traversal.cli import venv
    from nat_traversal.cli.stopping import STOPPING, has_terminal
except KeyboardInterrupt:  # nothing has begun
    raise SystemExit(0) from None

_ASKING = ("check", "config", "status", "ping", "reload", "genkey", "identity", "gentoken")
"""Commands of which a script wants an answer."""


def both() -> int:
    """``python -m nat_traversal server|client …`` and the console script ``nat-traversal``."""
    return _quietly("main")


def server(checkout: Path | None = None) -> int:
    """``traversal_server.py`` and the console script ``traversal-server``."""
    return _quietly("server_main", checkout)


def client(checkout: Path | None = None) -> int:
    """``traversal_client.py`` and the console script ``traversal-client``."""
    return _quietly("client_main", checkout)


def _quietly(name: str, checkout: Path | None = None) -> int:
    """The exit status of that function of `cli.main`, which takes a while to import.

    With `checkout`, its packages are used if this interpreter lacks them.
    """
    _end_at_once(_early_status())
    _hold_streams()
    if checkout is not None:
        venv.use(checkout)
    from nat_traversal.cli import main  # noqa: PLC0415

    command: Callable[[], int] = getattr(main, name)
    status = command()
    _end_at_once(status)  # the event loop has put Python's own handlers back
    return status


def _hold_streams() -> None:
    """Keep the numbers of streams that are closed: what is opened next would get them, and with them what is meant for a stream."""
    try:
        while (held := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(held)
    except OSError:  # there is no /dev/null, or no descriptor
        pass


def _early_status() -> int:
    """A client or server that was stopped before it began has done as it was asked. Another command has not."""
    return 130 if sys.argv[1:2] and sys.argv[1] in _ASKING else 0


def _end_at_once(status: int = 0) -> None:
    """From now on a request to stop ends the process. Signals that were ignored, as by ``nohup``, stay so."""
    for number in STOPPING:
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        if number is signal.SIGHUP and _has_file() and not has_terminal():
            signal.signal(
                number, lambda *_: None
            )  # it means a reload, and the file is yet to be read
        else:
            signal.signal(number, partial(_end, status))


def _has_file() -> bool:
    """Whether the command will read a file, as far as that shows before the arguments are read: `--config=FILE`, a
    shorter form, the variable, or a client that names no peer."""
    options = [word.partition("=")[0] for word in sys.argv[1:]]
    if "NAT_TRAVERSAL_CONFIG" in os.environ or any(_means(each, "--config") for each in options):
        return True
    is_client = sys.argv[1:2] == ["client"] or "client" in Path(sys.argv[0]).name
    names_peer = any(each.startswith("-r") or _means(each, "--remote") for each in options)
    return is_client and not names_peer and "NAT_TRAVERSAL_REMOTE" not in os.environ


def _means(word: str, option: str) -> bool:
    """Whether `word` is that option, or its begin: argparse takes that."""
    return len(word) > 3 and option.startswith(word)


def _end(status: int, *_: object) -> None:
    os._exit(status)
