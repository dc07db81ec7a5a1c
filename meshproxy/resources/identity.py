"""Whose identity a proxy has, and where it comes from."""

from __future__ import annotations

from meshproxy.base.durations import Duration
from meshproxy.resources.authorization import ExistingConnections
from meshproxy.resources.meta import Shape
from meshproxy.resources.sources import DEFAULT_CONSUL_ADDRESS


class IdentityFiles(Shape, frozen=True, kw_only=True):
    """PEM files, which are watched: a certificate with its chain, its key, and the roots to trust.

    `crl` has revocation lists of those roots, and of every CA under them whose certificates peers show.
    """

    certificate: str
    key: str
    roots: str
    crl: str | None = None


class IdentityCA(Shape, frozen=True, kw_only=True):
    """Our own CA (``meshproxy ca serve``). `roots` vouches for the server; `token_file` holds a bootstrap token."""

    url: str
    roots: str
    token_file: str | None = None
    lifetime: Duration | None = None


class IdentityConsul(Shape, frozen=True, kw_only=True):
    """Consul's Connect CA, through an agent, whose `address` is written as in a source.

    `token_file` holds an ACL token with ``service:write``; without it the environment's ``CONSUL_HTTP_TOKEN`` is used.
    With `intentions` callers of `spec.inbound` must be allowed by Consul's intentions, too; `existing_connections` says
    what becomes of connections that are open already, and that these refuse now.
    """

    address: str = DEFAULT_CONSUL_ADDRESS
    token_file: str | None = None
    intentions: bool = True
    existing_connections: ExistingConnections = ExistingConnections.KEEP


class ProxyIdentity(Shape, frozen=True, kw_only=True):
    """Exactly one of `files`, `ca` and `consul`.

    `service_account` is required but for `files`, where the certificate says it; the namespace is the Proxy's own.
    """

    trust_domain: str | None = None
    service_account: str | None = None
    files: IdentityFiles | None = None
    ca: IdentityCA | None = None
    consul: IdentityConsul | None = None
