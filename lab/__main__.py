"""``python -m lab …`` from a checkout: the same as the console command ``natlab``."""

try:
    import sys
    from pathlib import Path

    _CHECKOUT = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(_CHECKOUT / "lab"), str(_CHECKOUT)]

    from natlab.__main__ import main
except KeyboardInterrupt:  # Ctrl-C before anything has begun
    raise SystemExit(130) from None

if __name__ == "__main__":
    sys.exit(main(f"make -C {_CHECKOUT} setup, then use {_CHECKOUT}/.venv/bin/python"))
