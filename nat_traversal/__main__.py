"""``python -m nat_traversal server|client …``"""

try:
    import sys

    from nat_traversal.cli import start
except KeyboardInterrupt:  # Ctrl-C before anything has begun
    raise SystemExit(0) from None

if __name__ == "__main__":
    sys.exit(start.both())
