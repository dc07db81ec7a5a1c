"""Rules for Secrets and ConfigMaps. What is secret is quoted nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.resources.secret import CERTIFICATE, KEY, ROOTS, TLS_TYPE, ConfigMap, Secret

MAX_PEM = 131072
"""Bytes of a text: a certificate has two thousand, a bundle of roots some ten thousand."""
_BEGINNINGS = {CERTIFICATE: "-----BEGIN CERTIFICATE-----", ROOTS: "-----BEGIN CERTIFICATE-----", KEY: "-----BEGIN "}


def check(secret: Secret) -> Iterator[Finding]:
    for key in (CERTIFICATE, KEY, ROOTS):
        if secret.has(key):
            field = f"{'stringData' if key in secret.string_data else 'data'}.{key}"
            try:
                yield from _check_text(field, key, secret.text(key))
            except ValueError as error:
                yield Finding(field=field, message=str(error))
        elif secret.type == TLS_TYPE and key != ROOTS:
            yield Finding(field=f"data.{key}", message=f"this field is required for type: {TLS_TYPE}")


def check_config_map(config_map: ConfigMap) -> Iterator[Finding]:
    if ROOTS in config_map.data:
        yield from _check_text(f"data.{ROOTS}", ROOTS, config_map.data[ROOTS])


def _check_text(field: str, key: str, text: str) -> Iterator[Finding]:
    if len(text) > MAX_PEM:
        yield Finding(field=field, message=f"has {len(text)} bytes; {MAX_PEM} are the most")
    elif _BEGINNINGS[key] not in text:
        what = "private key" if key == KEY else "certificate"
        yield Finding(field=field, message=f"holds no {what} in PEM ({_BEGINNINGS[key].strip()}…)")
    elif key == KEY and "ENCRYPTED" in text:
        yield Finding(field=field, message="the key has a passphrase, and nobody is there to type it; write it without")
