"""SPIFFE ids (SPIFFE-ID.md of the SPIFFE standards, version 1).

A name, like those in `names`: what people write in policies, what certificates carry, and what a data
plane compares, so that every ring needs it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from meshproxy.base.names import NamespacedName

SCHEME = "spiffe://"
MAX_ID = 2048
"""Bytes of a whole id (§2.3: implementations must support 2048, and should not make longer ones)."""
MAX_TRUST_DOMAIN = 255
DEFAULT_TRUST_DOMAIN = "mesh.local"

# §2.1 and §2.2. Percent-encoding, ports, user names, queries and fragments are not among the characters.
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)

_SERVICE_ACCOUNT = re.compile(r"/ns/([^/]+)/sa/([^/]+)")
# Consul's Connect CA names services so; its namespaces and ours are the same thing.
_CONSUL_SERVICE = re.compile(r"/ns/([^/]+)/dc/[^/]+/svc/([^/]+)")


class SpiffeId(NamedTuple):
    """``spiffe://<trust domain><path>``; the path begins with ``/``, or is empty for the trust domain itself."""

    trust_domain: str
    path: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"

    @property
    def service_account(self) -> NamespacedName | None:
        """Whose id it is: of ``/ns/<namespace>/sa/<name>``, or Consul's ``/ns/<namespace>/dc/<dc>/svc/<name>``."""
        found = _SERVICE_ACCOUNT.fullmatch(self.path) or _CONSUL_SERVICE.fullmatch(self.path)
        return NamespacedName(found[1], found[2]) if found is not None else None

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Read an id; raises `ValueError` with a sentence for people."""
        if not text.startswith(SCHEME):
            raise ValueError(f"{_quoted(text)} is no SPIFFE id; it must begin with {SCHEME}")
        if len(text) > MAX_ID:
            raise ValueError(f"a SPIFFE id has at most {MAX_ID} characters, and {_quoted(text)} has {len(text)}")
        trust_domain, slash, rest = text.removeprefix(SCHEME).partition("/")
        problem = trust_domain_problem(trust_domain)
        if problem:
            raise ValueError(f"{_quoted(text)}: {problem}")
        for segment in rest.split("/") if slash else ():
            if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
                raise ValueError(f"{_quoted(text)}: {_quoted(segment)} cannot be a part of a SPIFFE id's path")
        return cls(trust_domain, slash + rest)

    @classmethod
    def of_service_account(cls, trust_domain: str, account: NamespacedName) -> SpiffeId:
        """``spiffe://<trust domain>/ns/<namespace>/sa/<name>``, as in Istio; raises `ValueError` where it is no id."""
        return cls.parse(f"{SCHEME}{trust_domain}/ns/{account.namespace}/sa/{account.name}")


def trust_domain_problem(text: str) -> str:
    """What keeps `text` from being a trust domain, as a sentence for people; empty when nothing does."""
    if len(text) > MAX_TRUST_DOMAIN or not _TRUST_DOMAIN.fullmatch(text):
        return (
            f"{_quoted(text)} is no trust domain: lower-case letters, digits, '.', '-' and '_', "
            f"at most {MAX_TRUST_DOMAIN} characters"
        )
    return ""


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")
