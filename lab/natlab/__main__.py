"""The lab's door: ``natlab …`` and ``python -m natlab …``. A missing package is told in one line."""

from __future__ import annotations

try:
    import gc
    import sys

    from natlab.errors import INSTALL, missing_package
except KeyboardInterrupt:  # Ctrl-C before anything has begun
    raise SystemExit(130) from None

_GARBAGE = 50_000
"""So many new objects before Python looks for garbage: nearly all are of modules, and stay."""
UNAVAILABLE, INTERRUPTED = 3, 130
"""Those of `natlab.cli.status.Exit`, which cannot be imported where a package is missing."""


def main(remedy: str = INSTALL) -> int:
    """Run the lab's command line; `remedy` is the command that installs the extra."""
    gc.set_threshold(_GARBAGE)
    try:
        from natlab.cli.main import main as run  # noqa: PLC0415 - it needs the extra

        return run()
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        print(f"error: the lab needs the Python package {missing}: {remedy}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:  # before the command could answer it: it has left nothing
        return INTERRUPTED
    finally:
        gc.freeze()  # at its end Python would look through all of it twice


if __name__ == "__main__":
    sys.exit(main())
