"""Certificates for the tests of one file."""

from __future__ import annotations

import pytest

from tests.certificates import Authority
from tests.loopback.aio.tls_keys import Keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority.new()
    authority.issued.certificate_file(folder / "ca.crt")
    return Keys(folder, authority, authority.issue("127.0.0.1", "localhost"))
