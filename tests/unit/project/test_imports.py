"""The imports of each command: a start costs as much as it imports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import nat_traversal

CLIENT = {
    "client.agent", "paths.methods.handshake", "paths.consent",
    "aio.client", "aio.connection", "aio.forwarder",
}  # fmt: skip
SERVER = {"server.rendezvous", "server.session", "aio.server"}


def loaded(statement: str) -> set[str]:
    """The modules after `statement` in a fresh interpreter; those of the package by their short names."""
    # coverage, where it is measured, would import modules of its own
    unmeasured = {name: value for name, value in os.environ.items() if "COV" not in name}
    found = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        env=unmeasured,
    )
    return {name.removeprefix("nat_traversal.") for name in found.stdout.split()}


@pytest.mark.long
def test_server_needs_no_client_and_the_client_no_server() -> None:
    server = loaded("import nat_traversal.cli.server_command")
    assert server >= SERVER
    assert not server & CLIENT
    client = loaded("import nat_traversal.cli.client_command")
    assert client >= CLIENT - {"aio.connection"}
    assert not client & SERVER


@pytest.mark.parametrize("module", ["nat_traversal", "nat_traversal.cli.main"])
def test_arguments_and_help_need_no_network(module: str) -> None:
    assert not loaded(f"import {module}") & {"asyncio", "ssl", "socket", "logging", "events"}


def test_every_public_name_is_there_and_listed() -> None:
    assert {name for name in nat_traversal.__all__ if not hasattr(nat_traversal, name)} == set()
    assert set(nat_traversal.__all__) <= set(dir(nat_traversal))


def test_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        _ = nat_traversal.conect
