"""TLS without a network: its files, and its octets in both directions."""

from __future__ import annotations

import contextlib
import ssl
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nat_traversal import (
    ClientTlsSettings,
    ServerTlsSettings,
    UsageError,
)
from nat_traversal.aio.tls import ClientTls, ServerTls, TlsStream
from nat_traversal.errors import TlsError, WireError
from tests.certificates import Authority
from tests.loopback.aio.tls_keys import Keys


class TestFiles:
    """What a server or a client says about files that it cannot use."""

    def test_a_server_names_what_is_wrong(self, keys: Keys, tmp_path: Path) -> None:
        good = keys.server()
        assert good.key is not None
        other = Authority.new().issue("x")
        stranger = other.key_file(tmp_path / "stranger.key")
        locked = keys.issued.key_file(tmp_path / "locked.key", passphrase=b"secret")
        open_to_all = keys.issued.key_file(tmp_path / "open.key", mode=0o644)
        junk = tmp_path / "junk.pem"
        junk.write_text("no certificate")
        missing = str(tmp_path / "missing")
        for files, why in [
            (ServerTlsSettings(missing, good.key), f"{missing}.*: No such file or directory"),
            (ServerTlsSettings(good.certificate, missing), f"{missing}: No such file"),
            (ServerTlsSettings(good.certificate, stranger), "does not belong to the certificate"),
            (ServerTlsSettings(good.certificate, locked), "has a passphrase"),
            (ServerTlsSettings(good.certificate, open_to_all), "every user of this host: chmod o="),
            (ServerTlsSettings(str(junk), good.key), "must hold a certificate and its key in PEM"),
            (ServerTlsSettings(good.key, good.key), "must hold a certificate and its key in PEM"),
            (ServerTlsSettings(str(tmp_path), good.key), f"{tmp_path}.*: "),
        ]:
            with pytest.raises(UsageError, match=why):
                ServerTls.of(files)

    def test_a_key_may_stand_in_the_file_of_the_certificate(
        self, keys: Keys, tmp_path: Path
    ) -> None:
        good = keys.server()
        assert good.key is not None
        both = tmp_path / "both.pem"
        both.write_text(Path(good.key).read_text() + Path(good.certificate).read_text())
        both.chmod(0o600)
        assert (
            ServerTls.of(ServerTlsSettings(str(both))).fingerprint.hex() == keys.issued.fingerprint
        )

    def test_a_client_names_what_is_wrong(self, tmp_path: Path) -> None:
        junk = tmp_path / "junk.pem"
        junk.write_text("no certificate")
        for file, why in [
            (junk, "no certificate in PEM form"),
            (tmp_path / "none", "No such file"),
        ]:
            with pytest.raises(UsageError, match=f"--ca {file}: {why}"):
                ClientTls.of(ClientTlsSettings(ca=str(file)), "server.example")
        with pytest.raises(UsageError, match="no file has a NUL in its name"):
            ClientTls.of(ClientTlsSettings(ca="a\0b"), "server.example")


@cache
def both(keys: Keys) -> tuple[ClientTls, ServerTls]:
    """Whatever makes the ends; to read the certificates takes longer than a handshake."""
    return ClientTls.of(ClientTlsSettings(ca=keys.ca), "localhost."), ServerTls.of(keys.server())


class TestStream:
    """Both ends in memory."""

    @staticmethod
    def ends(keys: Keys) -> tuple[TlsStream, TlsStream]:
        client, server = both(keys)
        return client.stream(), server.stream()

    def test_octets_may_come_one_by_one(self, keys: Keys) -> None:
        client, server = self.ends(keys)
        assert client.receive(b"") == b""
        to_server, to_client, said = client.outgoing(), b"", b""
        while to_server or to_client:
            for octet in to_server:
                said += server.receive(bytes([octet]))
            to_server = b""
            to_client = server.outgoing()
            for octet in to_client:
                client.receive(bytes([octet]))
                to_server += client.outgoing()
            if client.is_ready and not said:
                to_server += client.send(b"hello")
        assert said == b"hello"

    def test_nothing_is_said_before_the_handshake_is_over(self, keys: Keys) -> None:
        for end in self.ends(keys):
            assert end.send(b"a secret") == b""
            assert end.end() == b""

    def test_the_finished_message_and_the_first_words_leave_together(self, keys: Keys) -> None:
        """So TLS costs one round trip: client, server, then the client with what it has to say."""
        client, server = self.ends(keys)
        client.receive(b"")
        server.receive(client.outgoing())
        client.receive(server.outgoing())
        assert server.receive(client.outgoing() + client.send(b"register")) == b"register"
        assert server.outgoing() == b""  # no session tickets
        assert server.version == client.version == "TLSv1.3"

    def test_an_end_that_closes_says_so(self, keys: Keys) -> None:
        client, server = self.ends(keys)
        client.receive(b"")
        server.receive(client.outgoing())
        client.receive(server.outgoing())
        server.receive(client.outgoing())
        assert server.receive(client.send(b"bye") + client.end()) == b"bye"
        assert server.end() != b""

    def test_an_older_tls_is_refused(self, keys: Keys) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        old = TlsStream(context, name="localhost", pin=None)
        old.receive(b"")
        _, server = self.ends(keys)
        with pytest.raises(TlsError, match="TLS failed: unsupported protocol"):
            server.receive(old.outgoing())
        with pytest.raises(TlsError, match=r"TLS failed: .*alert protocol version"):
            old.receive(server.outgoing())

    @given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6))
    @settings(
        deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_changed_octets_raise_nothing_but_the_documented_errors(
        self, keys: Keys, changes: list[tuple[int, int]]
    ) -> None:
        for to_client in (False, True):
            client, server = self.ends(keys)
            client.receive(b"")
            flight, end = client.outgoing(), server
            if to_client:
                server.receive(flight)
                flight, end = server.outgoing(), client
            changed = bytearray(flight)
            for place, octet in changes:
                changed[place % len(changed)] = octet
            with contextlib.suppress(TlsError, WireError):
                end.receive(bytes(changed))
            if changed == flight:
                assert end.is_ready == to_client
            assert not server.is_ready

    @pytest.mark.parametrize("first", [b"{", b"HTTP/1.1 400", b"\x00", b"\x17"])
    def test_what_is_no_tls_is_told_apart(self, keys: Keys, first: bytes) -> None:
        client, server = self.ends(keys)
        client.receive(b"")
        with pytest.raises(WireError, match="the server speaks no TLS"):
            client.receive(first)
        assert client.send(b"a secret") == b""
        with pytest.raises(WireError, match="this server speaks TLS"):
            server.receive(first)
        assert server.send(b"go away") == b"go away"
