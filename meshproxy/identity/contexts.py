"""Puts an identity into an `ssl.SSLContext`, without a file that holds a key. Lean: workers import it."""

from __future__ import annotations

import os
import ssl


def load_certificate(context: ssl.SSLContext, certificate_chain: str, private_key: str) -> None:
    """Have `context` present a chain from now on; it may be in use, and connections that are open go on.

    `ssl` reads files only, so that this makes one that exists in memory (memfd_create(2)) and has no name.
    Raises `ssl.SSLError` where the two do not fit together, and `ValueError` where the key has a passphrase.
    """
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(f"{private_key.rstrip()}\n{certificate_chain}".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_nobody_types)
    finally:
        os.close(descriptor)


def _nobody_types() -> str:
    """Without this OpenSSL would ask the terminal."""
    raise ValueError("the key has a passphrase; write it without one")
