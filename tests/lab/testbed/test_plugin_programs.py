"""The pytest plugin with program files, and with every pair of a set of NATs."""

from __future__ import annotations

import pytest

from tests import ROOT
from tests.lab.testbed.runs import UNUSED, WARM, run_pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("this_checkout")

_PUNCHER = ROOT / "examples/puncher.toml"
_PLAYED = f"""
    import pytest
    from nat_traversal.errors import UsageError

    @pytest.mark.nat_pairs(
        ("full-cone", "port-restricted-cone"), ("symmetric", "symmetric"), program={str(_PUNCHER)!r}
    )
    def test_it_meets_where_it_can(nat_lab):
        result = nat_lab.play()
        assert result.path == ("none" if nat_lab.nat_a == "symmetric" else "direct")
        assert result.ok and result.program == "UDP hole puncher"
        assert nat_lab.packets()

    @pytest.mark.nat_topology("star,peers=2,nats=none/full-cone")
    def test_a_file_needs_its_nodes(nat_lab):
        with pytest.raises(UsageError, match="there is no node 'host_a'"):
            nat_lab.play({str(_PUNCHER)!r})
        with pytest.raises(UsageError, match="there is no program file: give one here"):
            nat_lab.play()

    @pytest.mark.nat_pairs(("none", "none"), program="nowhere.toml")
    def test_a_file_that_is_not_there(nat_lab):
        pass
"""


@pytest.mark.timeout(150)
def test_the_fixture_plays_a_program_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_PLAYED)
    result = run_pytest(pytester, "--strict-markers", "-W", WARM, *UNUSED, timeout=140)
    assert result.parseoutcomes() == {"passed": 3, "errors": 1}
    result.stdout.fnmatch_lines(["*nat_pairs: cannot read the program file nowhere.toml: No such*"])


@pytest.mark.parametrize(("word", "count"), [("nine", 81), ("presets", 36)])
def test_every_takes_a_word_for_a_set_of_nats(
    word: str, count: int, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(f"""
        import pytest
        @pytest.mark.nat_pairs(every={word!r})
        def test_it(nat_lab): pass
    """)
    result = run_pytest(pytester, "--collect-only", "-q", *UNUSED)
    result.stdout.fnmatch_lines([f"{count} tests collected*"])
