"""`Ingress.spec.tls` → virtual hosts that speak TLS: one for each server name that is said to have a certificate.

As ingress-nginx has it, all rules of all Ingresses are served there, too; a default certificate is for every other
server name, and in place of one that is missing; and plain requests are redirected. Here it is by Ingress that they
are: the rules of one without `tls` for a host, such as a challenge for a certificate, are served in plain as ever.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

import msgspec

from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import Edge, EdgeHost
from meshproxy.compiler.gateway_tls import ALPN_HTTP
from meshproxy.compiler.hostnames import meet
from meshproxy.compiler.tls_materials import REFUSED, MaterialIndex
from meshproxy.resources import Ingress
from meshproxy.snapshot.routes import Filters, Redirect, Rule
from meshproxy.snapshot.tls import ServerTLS

HTTPS_PORT = 443
PERMANENT_REDIRECT = 308
"""As ingress-nginx answers: the method and the body stay."""


class _Entry(NamedTuple):
    """One entry of an Ingress' `tls`."""

    ingress: Ingress
    number: int

    @property
    def field(self) -> str:
        return f"spec.tls[{self.number}]"

    @property
    def secret(self) -> tuple[str, str | None]:
        return self.ingress.metadata.namespace, self.ingress.spec.tls[self.number].secret_name


def secured_names(ingress: Ingress) -> Mapping[str, int]:
    """The server names that `ingress` has TLS for, ``""`` being any, and the entry of `tls` that each is in."""
    names: dict[str, int] = {}
    for index, tls in enumerate(ingress.spec.tls):
        for host in tls.hosts:
            names.setdefault(host.lower(), index)
    for index, tls in enumerate(ingress.spec.tls):
        if not tls.hosts:
            for host in _hosts(ingress) or ("",):
                names.setdefault(host, index)
    return names


def secures(names: Container[str], host: str) -> bool:
    """Whether one of `names` is for `host`, of which a wildcard stands for one label, as in certificates."""
    return host in names or (bool(host) and f"*.{host.partition('.')[2]}" in names)


def redirected(rule: Rule, port: int) -> Rule:
    """What `rule` is to plain requests whose place is the TLS `port`."""
    redirect = Redirect(scheme="https", port=port if port != HTTPS_PORT else None, status=PERMANENT_REDIRECT)
    return msgspec.structs.replace(rule, filters=Filters(redirect=redirect), backends=())


class SecureHosts:
    """Whom Ingresses, the oldest first, have TLS for. `default` names the default certificate, if there is one."""

    def __init__(
        self, ingresses: Iterable[Ingress], default: str, materials: MaterialIndex, diagnostics: Diagnostics
    ) -> None:
        self._default = default
        self._materials = materials
        self._diagnostics = diagnostics
        self._entries: dict[str, _Entry] = {}
        for ingress in ingresses:
            self._take(ingress)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is to be served by TLS."""
        return bool(self._entries or self._default)

    def _take(self, ingress: Ingress) -> None:
        for name, index in secured_names(ingress).items():
            entry = _Entry(ingress, index)
            first = self._entries.setdefault(name, entry)
            if first.secret != entry.secret:
                message = f"{first.ingress.label} has TLS for {name or 'any host'} already, and comes first"
                self._diagnostics.warning(ingress, entry.field, message)
        self._warn_of_hosts_without_rules(ingress)

    def _warn_of_hosts_without_rules(self, ingress: Ingress) -> None:
        ruled = _hosts(ingress)
        if "" in ruled or ingress.spec.default_backend is not None:
            return
        for index, tls in enumerate(ingress.spec.tls):
            for number, host in enumerate(tls.hosts):
                if not any(meet(host.lower(), each) for each in ruled):
                    hint = self._diagnostics.hint(host, ruled)
                    message = f"no rule of this Ingress is for {host}{hint}"
                    self._diagnostics.warning(ingress, f"spec.tls[{index}].hosts[{number}]", message)

    def open(self, edge: Edge, owner: str) -> list[EdgeHost]:
        """Add to `edge` a host for each name that nobody there has; they are called after their `owner`."""
        opened: list[EdgeHost] = []
        for name, entry in self._entries.items():
            taken = edge.hosts.get(name) or edge.tls_hosts.get(name)
            if taken is not None:
                message = (
                    f"Gateway listener {taken.name} has {name or 'any hostname'} on {edge.address}, and comes first"
                )
                self._diagnostics.warning(entry.ingress, entry.field, message)
                continue
            opened.append(EdgeHost(f"{owner}:{name}" if name else owner, name, tls=self._server_tls(entry)))
            edge.add(opened[-1])
        if self._default and "" not in edge.hosts and "" not in edge.tls_hosts:
            opened.append(EdgeHost(owner, "", tls=_server_tls(self._default)))
            edge.add(opened[-1])
        return opened

    def _server_tls(self, entry: _Entry) -> ServerTLS:
        name, consequence = "", "the default certificate is shown" if self._default else REFUSED
        secret = entry.secret[1]
        if secret:
            field = f"{entry.field}.secretName"
            name = self._materials.certificate_in(entry.ingress, secret, field, consequence)
        elif not self._default:
            message = f"there is neither a secretName nor a Proxy with spec.ingress.defaultCertificate; {REFUSED}"
            self._diagnostics.warning(entry.ingress, entry.field, message)
        return _server_tls(name or self._default)


def _server_tls(certificate: str) -> ServerTLS:
    return ServerTLS(certificates=(certificate,) if certificate else (), alpn=ALPN_HTTP)


def _hosts(ingress: Ingress) -> tuple[str, ...]:
    """Those of its rules, ``""`` being any."""
    return tuple((rule.host or "").lower() for rule in ingress.spec.rules)
