"""Puts an identity into an `ssl.SSLContext`, without a file that holds a key. Lean: workers import it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager


def load_certificate(context: ssl.SSLContext, certificate_chain: str, private_key: str) -> None:
    """Have `context` present a chain from now on; it may be in use, and connections that are open go on.

    Raises `ssl.SSLError` where the two do not fit together, and `ValueError` where the key has a passphrase.
    """
    with _in_memory(f"{private_key.rstrip()}\n{certificate_chain}") as path:
        context.load_cert_chain(path, password=_nobody_types)


def load_revocation_lists(context: ssl.SSLContext, crl: str) -> None:
    """Have `context` refuse what `crl` revokes, of every CA in a chain: one without a valid list is refused, too.

    So do Envoy's `crl`, nginx's `ssl_crl` and HAProxy's `crl-file`. Raises `ssl.SSLError` where there is none in it.
    """
    with _in_memory(crl) as path:
        context.load_verify_locations(path)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """The path of a file that exists in memory (memfd_create(2)) and has no name, since `ssl` reads files only."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _nobody_types() -> str:
    """Without this OpenSSL would ask the terminal."""
    raise ValueError("the key has a passphrase; write it without one")
