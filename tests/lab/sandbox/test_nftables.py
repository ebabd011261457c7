"""Rules that the lab loads without a process are those that `nft` would load, and what is refused `nft` tells."""

from __future__ import annotations

import subprocess

import pytest

from natlab.behavior import NINE
from natlab.errors import NetworkError
from natlab.nat.rules import RouterPorts, rules_for
from natlab.presets import REAL_WORLD, preset
from natlab.sandbox import nftables
from natlab.sandbox.netns import NFT, Command, run_together
from tests.lab import warm

_PORTS = RouterPorts("lan", "wan", "203.0.113.2", "10.0.1.2")
_TEXTS = [rules_for(preset(name), _PORTS).nft for name in (*NINE, *REAL_WORLD)]
_WRONG = "table ip wrong { chain one { udp dport 5 nonsense; }; }\n"


def _listed() -> str:
    shown = ["nft", "list", "ruleset"]
    return subprocess.run(shown, capture_output=True, text=True, check=True).stdout


def _loaded_both_ways() -> list[tuple[str, str]]:
    """Each text in the place of the one before, by the library and by the program."""
    seen = []
    for text in _TEXTS:
        assert nftables.load(text)
        ours = _listed()
        subprocess.run(NFT, input=text, text=True, check=True)
        seen.append((ours, _listed()))
    return seen


def test_the_library_loads_what_the_program_loads() -> None:
    seen = warm.call(30, _loaded_both_ways)
    for ours, theirs in seen:
        assert "table ip nat_lab" in ours
        assert ours == theirs
    assert len({ours for ours, _ in seen}) == len(_TEXTS)


def _refused() -> tuple[str, str]:
    run_together([Command(NFT, _TEXTS[0])])
    before = _listed()
    with pytest.raises(NetworkError) as error:
        run_together([Command(NFT, f"{_TEXTS[1]}{_WRONG}")])
    assert _listed() == before
    return str(error.value), before


def test_of_what_is_refused_nothing_is_loaded_and_the_program_has_the_words() -> None:
    words, before = warm.call(30, _refused)
    assert "table ip nat_lab" in before
    assert words.startswith("nft -f -: exit status 1: ")
    assert "nonsense" in words


def _without_the_library() -> tuple[str, bool]:
    nftables._LIBRARY = None
    is_loaded = nftables.load(_TEXTS[0])
    run_together([Command(NFT, _TEXTS[0])])
    return _listed(), is_loaded


def test_without_the_library_the_program_loads_them() -> None:
    listed, is_loaded = warm.call(30, _without_the_library)
    assert not is_loaded
    assert "table ip nat_lab" in listed
