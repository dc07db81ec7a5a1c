"""Rules for Secrets and ConfigMaps. What is secret is quoted nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.resources.secret import CERTIFICATE, CRL, KEY, ROOTS, TLS_TYPE, ConfigMap, Secret

MAX_PEM = 131072
"""Bytes of a text: a certificate has two thousand, a bundle of roots some ten thousand."""
_BEGINNINGS = {
    CERTIFICATE: "-----BEGIN CERTIFICATE-----",
    ROOTS: "-----BEGIN CERTIFICATE-----",
    CRL: "-----BEGIN X509 CRL-----",
    KEY: "-----BEGIN ",
}
_WORDS = {KEY: "private key", CRL: "revocation list"}


def check(secret: Secret) -> Iterator[Finding]:
    for key in (CERTIFICATE, KEY, ROOTS, CRL):
        if secret.has(key):
            field = f"{'stringData' if key in secret.string_data else 'data'}.{key}"
            try:
                yield from _check_text(field, key, secret.text(key))
            except ValueError as error:
                yield Finding(field=field, message=str(error))
        elif secret.type == TLS_TYPE and key in (CERTIFICATE, KEY):
            yield Finding(field=f"data.{key}", message=f"this field is required for type: {TLS_TYPE}")


def check_config_map(config_map: ConfigMap) -> Iterator[Finding]:
    for key in (ROOTS, CRL):
        if key in config_map.data:
            yield from _check_text(f"data.{key}", key, config_map.data[key])


def _check_text(field: str, key: str, text: str) -> Iterator[Finding]:
    if len(text) > MAX_PEM:
        yield Finding(field=field, message=f"has {len(text)} bytes; {MAX_PEM} are the most")
    elif _BEGINNINGS[key] not in text:
        what = _WORDS.get(key, "certificate")
        yield Finding(field=field, message=f"holds no {what} in PEM ({_BEGINNINGS[key].strip()}…)")
    elif key == KEY and "ENCRYPTED" in text:
        yield Finding(field=field, message="the key has a passphrase, and nobody is there to type it; write it without")
