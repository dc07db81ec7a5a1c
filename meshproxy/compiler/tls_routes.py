"""A TLSRoute's backends."""

from __future__ import annotations

from meshproxy.compiler.backends import BackendIndex
from meshproxy.resources import TLSRoute
from meshproxy.snapshot.routes import Backend


def tls_backends(route: TLSRoute, backends: BackendIndex) -> tuple[Backend, ...]:
    """Where its connections go: those of its first rule, since nothing tells rules apart."""
    if not route.spec.rules:
        return ()
    found = []
    for number, ref in enumerate(route.spec.rules[0].backend_refs):
        field = f"spec.rules[0].backendRefs[{number}]"
        target = backends.of_route(route, ref, field, "its share of the connections is refused", with_grant=True)
        found.append(Backend(cluster=target.cluster, weight=ref.weight, label=target.label, problem=target.problem))
    return tuple(found)
