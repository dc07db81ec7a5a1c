"""`v1` Secret and ConfigMap: certificates, keys and roots. Whatever else they hold is left alone."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from typing import ClassVar

from meshproxy.resources.meta import Resource

TLS_TYPE = "kubernetes.io/tls"
CERTIFICATE, KEY, ROOTS, CRL = "tls.crt", "tls.key", "ca.crt", "ca.crl"
"""The last is ingress-nginx's, for revocation lists."""


class Secret(Resource, frozen=True, kw_only=True):
    """`data` is in Base64, `string_data` is not, and goes first."""

    type: str = "Opaque"
    data: dict[str, str] = {}
    string_data: dict[str, str] = {}
    immutable: bool | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"immutable"})

    def text(self, key: str) -> str:
        """What is under `key`, or nothing; raises `ValueError` where it is no text in Base64."""
        if key in self.string_data:
            return self.string_data[key]
        try:
            return b64decode("".join(self.data.get(key, "").split()), validate=True).decode("ascii")
        except (NotBase64, ValueError):
            raise ValueError("must be Base64 of a text (kubectl create secret writes it so)") from None

    def has(self, key: str) -> bool:
        return key in self.data or key in self.string_data

    def __repr__(self) -> str:
        """Without what is secret."""
        return f"Secret({self.key!s})"


class ConfigMap(Resource, frozen=True, kw_only=True):
    """Read for roots only: ``ca.crt`` (Gateway API, "Support: Core"), and ``ca.crl`` for what was revoked."""

    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}
    immutable: bool | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"immutable", "binary_data"})
