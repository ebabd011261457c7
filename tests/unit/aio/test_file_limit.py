"""How many files a process may have open."""

from __future__ import annotations

import resource

import pytest

from nat_traversal.aio.packet_io import file_limit

ANY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "wanted", "granted", "raised"),
    [
        ((1024, 4096), 100, 100, []),
        ((1024, 4096), 1024, 1024, []),
        ((1024, 4096), 2000, 2000, [(2000, 4096)]),
        ((1024, 4096), 9999, 4096, [(4096, 4096)]),
        ((1024, ANY), 9999, 9999, [(9999, ANY)]),
        ((ANY, ANY), 9999, 9999, []),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_the_hard_one_lets(
    limits: tuple[int, int],
    wanted: int,
    granted: int,
    raised: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: calls.append(new))
    assert file_limit(wanted) == granted
    assert calls == raised


@pytest.mark.parametrize("error", [OSError(1, "Operation not permitted"), ValueError()])
def test_a_service_manager_that_forbids_it_leaves_what_there_was(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise error

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", forbidden)
    assert file_limit(2000) == 1024
