"""Making TLS contexts from the settings; an error names the file and its problem."""

from __future__ import annotations

import ssl

from relay.settings.accounts import ClientTls
from relay.settings.listen import ListenTls


def server_context(tls: ListenTls) -> ssl.SSLContext:
    """Return the context of the listeners. Raises OSError or ValueError that name the files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_certificate(context, tls)
    return context


def load_certificate(context: ssl.SSLContext, tls: ListenTls) -> None:
    """Load a certificate and its key from their files into a context. Raises OSError or ValueError that name them."""
    for name, file in (("cert", tls.cert), ("key", tls.key)):
        if not file.is_file():
            raise FileNotFoundError(f"{name}: there is no file {file}")
    try:
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        problem = "the key belongs to another certificate" if mismatch else "one of them is not PEM"
        raise OSError(f"expected a certificate in {tls.cert} and its key in {tls.key}: {problem}") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted; the relay starts unattended and needs a key without a pass phrase")


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return the context of a client. Raises OSError that names the authority's file."""
    if tls.ca is not None and not tls.ca.is_file():
        raise FileNotFoundError(f"there is no file {tls.ca}")
    try:
        context = ssl.create_default_context(cafile=None if tls.ca is None else str(tls.ca))
    except ssl.SSLError as error:
        raise OSError(f"expected the certificate of an authority as PEM in {tls.ca}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
