"""Shorter times of a server with its store: for an answer, and all others by the same factor."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal import ServerSettings

WITHIN = 0.4
"""Seconds for an answer."""
_USUAL = ServerSettings()
_FACTOR = WITHIN / _USUAL.store_within
SHORTER = replace(
    _USUAL,
    store_within=WITHIN,
    store_renew=_USUAL.store_renew * _FACTOR,
    store_lease=_USUAL.store_lease * _FACTOR,
    store_retry_first=_USUAL.store_retry_first * _FACTOR,
    store_retry_most=_USUAL.store_retry_most * _FACTOR,
    store_trial_first=_USUAL.store_trial_first * _FACTOR,
    store_trial_most=_USUAL.store_trial_most * _FACTOR,
)
