"""TLS contexts of the settings; a file that can't be used is named, with what is wrong with it."""

from __future__ import annotations

import ssl

from relay.settings.model import ClientTls, ListenTls


def server_context(tls: ListenTls) -> ssl.SSLContext:
    """The listeners' context. Raises OSError or ValueError that name the files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_certificate(context, tls)
    return context


def load_certificate(context: ssl.SSLContext, tls: ListenTls) -> None:
    """Have a context show the certificate as its files have it now. Raises OSError or ValueError that name them."""
    for name, file in (("cert", tls.cert), ("key", tls.key)):
        if not file.is_file():
            raise FileNotFoundError(f"{name}: there is no file {file}")
    try:
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except ssl.SSLError as error:
        said = "the key is another certificate's" if error.reason == "KEY_VALUES_MISMATCH" else "one of them is no PEM"
        raise OSError(f"{tls.cert} and {tls.key} are no certificate and its key: {said}") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted; the relay starts alone and needs one without a pass phrase")


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """A client's context. Raises OSError that names the authority's file."""
    if tls.ca is not None and not tls.ca.is_file():
        raise FileNotFoundError(f"there is no file {tls.ca}")
    try:
        context = ssl.create_default_context(cafile=None if tls.ca is None else str(tls.ca))
    except ssl.SSLError as error:
        raise OSError(f"{tls.ca} holds no certificate of an authority, as PEM") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
