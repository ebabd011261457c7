"""Files that are made once: where, whole, and for their owner only."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from nat_traversal.aio.tls import ServerTls
from nat_traversal.cli import certificate
from nat_traversal.cli.state import state_directory, write_once
from nat_traversal.errors import UsageError

NOW = datetime.datetime(2030, 6, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"STATE_DIRECTORY": "/s/one:/s/two", "HOME": "/home/x"}, "/s/one"),
        ({"XDG_STATE_HOME": "/xdg", "HOME": "/home/x"}, "/xdg/nat-traversal"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/nat-traversal"),
        ({"HOME": "/h"}, "/h/.local/state/nat-traversal"),
    ],
)
def test_state_lies_where_users_expect_it(environment: dict[str, str], place: str) -> None:
    assert state_directory(environment) == Path(place)


def test_without_a_home_a_place_must_be_named() -> None:
    with pytest.raises(UsageError, match="name a place"):
        state_directory({})


def test_a_file_is_made_with_its_folders_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    before = os.umask(0)
    try:
        assert write_once(path, b"first")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not write_once(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path], "no draft is left"


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="cannot be made: File exists"):
        write_once(link, b"secret")
    assert list(tmp_path.iterdir()) == [link]


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UsageError, match=r"file/inside cannot be made: (Not a directory|File exists)"
    ):
        write_once(tmp_path / "file" / "inside", b"")


class TestCertificate:
    """The one that the server makes itself."""

    def test_it_is_made_once_and_is_the_same_at_the_next_start(self, tmp_path: Path) -> None:
        first = ServerTls.of(certificate.kept(tmp_path / "state", NOW))
        assert (
            ServerTls.of(certificate.kept(tmp_path / "state", NOW)).fingerprint == first.fingerprint
        )
        assert (
            ServerTls.of(certificate.kept(tmp_path / "other", NOW)).fingerprint != first.fingerprint
        )
        (made,) = (tmp_path / "state").iterdir()
        assert made.stat().st_mode & 0o777 == 0o600

    def test_it_is_on_p_256_and_valid_for_ten_years(self) -> None:
        pem = certificate.self_signed(NOW)
        made = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT") :])
        key = made.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        day = datetime.timedelta(days=1)
        assert made.not_valid_before_utc == NOW - day
        assert made.not_valid_after_utc == NOW + 3652 * day

    def test_without_the_package_it_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setitem(sys.modules, "cryptography", None)
        with pytest.raises(UsageError, match=r"apt install python3-cryptography.*--tls-cert FILE"):
            certificate.kept(tmp_path, NOW)
        assert list(tmp_path.iterdir()) == []
