"""TLS for the control connection (RFC 8446), over octets instead of a socket.

Asyncio's own TLS would hide a connection until its handshake is over: from the cap on connections, and from
the limit on their time. It would also keep 256 KB for each. Here the machine sees a connection when TCP does.
"""

from __future__ import annotations

import contextlib
import ssl
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nat_traversal.errors import TlsError, UsageError, WireError
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings, fingerprint_text

VERSION = ssl.TLSVersion.TLSv1_3
"""The least. Both ends are this package's, and every OpenSSL that its Pythons use has it. TLS 1.2 would cost
one more round trip, and would show the certificate on the wire."""
TLS_RECORDS = (0x15, 0x16)
"""The first octet of a TLS stream: an alert or a handshake message (RFC 8446 section 5.1)."""
_REFUSED_FOR = {
    9: "is not valid yet: check the clocks of both hosts",
    10: "has expired: the server needs a new one, if this host's clock is right",
}
"""The meaning of OpenSSL's `X509_V_ERR_*` for the user."""
_NOT_TRUSTED = (7, 18, 19, 20, 21)
_OTHER_NAME = (62, 64)
_ANY_USER = stat.S_IROTH | stat.S_IWOTH


class TlsStream:
    """One end of one TLS connection: octets from the wire in, octets for the wire out."""

    def __init__(self, context: ssl.SSLContext, *, name: str | None, pin: bytes | None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.is_server = name is None
        """Whether this is the end that has the certificate."""
        self.is_ready = False
        """Whether the handshake is over."""
        self._is_heard = self._is_clear = False
        self._name, self._pin = name, pin
        self._ssl = context.wrap_bio(
            self._in, self._out, server_side=self.is_server, server_hostname=name
        )

    @property
    def version(self) -> str | None:
        """As OpenSSL calls it, ``TLSv1.3``; None before it is agreed."""
        return self._ssl.version()

    def receive(self, data: bytes) -> bytes:
        """The text in clear that `data` from the wire carries. A client calls it once with nothing, which begins the handshake.

        Afterwards `outgoing` may have something to send, also after an error. Raises `WireError` for
        another end that speaks no TLS, `TlsError` where the handshake or a record fails.
        """
        if data and not self._is_heard:
            self._is_heard = True
            self._is_clear = data[0] not in TLS_RECORDS
        if self._is_clear:
            raise WireError(
                "this server speaks TLS: give --server-fingerprint, --ca or --tls"
                if self.is_server
                else "the server speaks no TLS: start it with --tls, or leave TLS out on this side"
            )
        self._in.write(data)
        try:
            if not self.is_ready:
                self._ssl.do_handshake()
                self._check_pin()
                self.is_ready = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise self._problem(error) from None

    def send(self, data: bytes) -> bytes:
        """The octets to put on the wire to say `data`.

        Before the handshake is over nothing can be said. Only another end that does not speak TLS is
        answered in clear: it has to learn why it is refused.
        """
        if not self.is_ready:
            return data if self._is_clear and self.is_server else b""
        self._ssl.write(data)
        return self.outgoing()

    def end(self) -> bytes:
        """The octets to put on the wire before this end closes the connection."""
        if not self.is_ready:
            return b""
        with contextlib.suppress(ssl.SSLError):  # it would wait for the other end to close as well
            self._ssl.unwrap()
        return self.outgoing()

    def outgoing(self) -> bytes:
        """The octets that TLS itself has to send."""
        return self._out.read()

    def _read(self) -> bytes:
        said = bytearray()
        try:
            while chunk := self._ssl.read(65_536):
                said += chunk
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return bytes(said)

    def fingerprint(self) -> bytes:
        """SHA-256 of the other end's certificate: 32 octets. Only once the handshake is over, at a client."""
        return sha256(self._ssl.getpeercert(binary_form=True) or b"").digest()

    def _check_pin(self) -> None:
        seen = self.fingerprint()
        if self._pin is not None and seen != self._pin:
            raise TlsError(
                f"the server's certificate has the fingerprint {fingerprint_text(seen)}, which is not "
                "that of --server-fingerprint: its certificate is new, or somebody else answers",
                "compare it with the fingerprint that the server printed at its start",
            )

    def _problem(self, error: ssl.SSLError) -> TlsError:
        if not isinstance(error, ssl.SSLCertVerificationError):
            reason = (error.reason or "broken").lower().replace("_", " ")
            return TlsError(
                f"TLS failed: {reason}", "give the TLS options on both sides or on neither"
            )
        why = why_refused(
            error,
            self._name or "",
            trust="give --ca FILE, or --server-fingerprint with what the server printed at its start",
            rename="give --server a name that is in it, or pin it with --server-fingerprint",
        )
        return TlsError(f"the server's certificate {why}")


def why_refused(error: ssl.SSLCertVerificationError, name: str, *, trust: str, rename: str) -> str:
    """The fault of the certificate of the server called `name`. `trust` and `rename` are the remedies where no
    CA vouches for it, and where it is for other names."""
    if error.verify_code in _NOT_TRUSTED:
        return f"is signed by no CA that this side trusts: {trust}"
    if error.verify_code in _OTHER_NAME:
        return f"is not for {name!r}: {rename}"
    return _REFUSED_FOR.get(error.verify_code, f"is refused: {error.verify_message}")


def context_trusting(pem: str) -> ssl.SSLContext:
    """For clients of any server: it trusts the CA certificates in `pem`, or with none the system's.

    Raises `UsageError` where no certificate is in it.
    """
    try:
        context = ssl.create_default_context(cadata=pem or None)
    except (ssl.SSLError, ValueError):
        raise UsageError("no certificate in PEM form is in it") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # any that is given
    return context


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Makes the client's end of each connection to one server."""

    context: ssl.SSLContext
    name: str
    pin: bytes | None

    @classmethod
    def of(cls, settings: ClientTlsSettings, host: str) -> ClientTls:
        """For the server called `host`. Raises `UsageError` for a file that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = VERSION
        if settings.fingerprint is not None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif settings.ca is None:
            context.load_default_certs()
        else:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # any that is in the file
            try:
                context.load_verify_locations(settings.ca)
            except ssl.SSLError:
                raise UsageError(
                    f"--ca {settings.ca}: no certificate in PEM form is in it"
                ) from None
            except OSError as error:
                raise UsageError(f"--ca {settings.ca}: {error.strerror}") from None
            except ValueError:
                raise UsageError(f"--ca {settings.ca!r}: no file has a NUL in its name") from None
        return cls(context, host.partition("%")[0].rstrip("."), settings.pin)

    def stream(self) -> TlsStream:
        """The end of a new connection."""
        return TlsStream(self.context, name=self.name, pin=self.pin)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Makes the server's end of each connection."""

    context: ssl.SSLContext
    fingerprint: bytes
    """SHA-256 of its certificate."""

    @classmethod
    def of(cls, settings: ServerTlsSettings) -> ServerTls:
        """Raises `UsageError` for files that cannot be used, or a key that any user of the host can read."""
        key = settings.key or settings.certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSION
        context.num_tickets = 0  # nobody resumes
        try:
            if Path(key).stat().st_mode & _ANY_USER:
                raise UsageError(f"{key} can be read by every user of this host: chmod o= {key}")
            context.load_cert_chain(settings.certificate, key, password=_refuse_passphrase)
            first = Path(settings.certificate).read_text(encoding="ascii", errors="replace")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                why = (
                    f"the key in {key} does not belong to the certificate in {settings.certificate}"
                )
            else:
                why = f"{settings.certificate} and {key} must hold a certificate and its key in PEM form"
            raise UsageError(why) from None
        except OSError as error:  # OpenSSL does not say which
            name = error.filename or f"{settings.certificate} or {key}"
            raise UsageError(f"{name}: {error.strerror}") from None
        return cls(context, sha256(_leaf(first)).digest())

    def stream(self) -> TlsStream:
        """The end of a new connection."""
        return TlsStream(self.context, name=None, pin=None)


def _leaf(pem: str) -> bytes:
    """The first certificate of a file, in DER form."""
    begin = pem.index(ssl.PEM_HEADER)
    return ssl.PEM_cert_to_DER_cert(pem[begin : pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)])


def _refuse_passphrase() -> str:
    """Instead of OpenSSL's question on the terminal."""
    raise UsageError("the private key has a passphrase, which a server cannot type: remove it")
