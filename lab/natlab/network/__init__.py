"""Mininet networks of the lab: nodes, links, addresses, bring-up, take-down."""

import importlib
import sys
import warnings


def _read_distutils() -> None:
    """Mininet wants one class of distutils. In its place setuptools would read all of its own, which takes longer
    than Mininet and this package together. From Python 3.12 on there is no other."""
    shim = sys.modules.get("_distutils_hack")
    if shim is None or sys.version_info >= (3, 12) or "setuptools" in sys.modules:
        return
    shim.remove_shim()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("distutils.version")


_read_distutils()
