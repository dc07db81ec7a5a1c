"""Rules for `Proxy.spec.sources`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding, quote
from meshproxy.resources.sources import ConsulImport, ConsulSource, ConsulTLS, DockerSource, DockerTLS, SourceSpec

RESERVED = frozenset({"files"})
"""What `-c` names is a source of this name."""
_BOTH_OR_NEITHER = "certFile and keyFile belong together: write both or neither"
WAIT = (1, 600)
"""Seconds. Consul itself answers after ten minutes at most ("Blocking Queries")."""


def check(sources: Sequence[SourceSpec]) -> Iterator[Finding]:
    for index, source in enumerate(sources):
        field = f"spec.sources[{index}]"
        if (source.consul is None) == (source.docker is None):
            yield Finding(field=field, message="needs exactly one of consul and docker")
        if source.name is not None:
            yield from finding(f"{field}.name", _name_problem(source.name))
        if source.consul is not None:
            yield from _check_consul(source.consul, f"{field}.consul")
        if source.docker is not None:
            yield from _check_docker(source.docker, f"{field}.docker")
    # What is no kind of registry has no name by default, only the finding above.
    for index, name in values.repeated(
        each.called if each.address else f"#{index}" for index, each in enumerate(sources)
    ):
        message = f"there is a source called {quote(name)} already; give one of them another name"
        yield Finding(field=f"spec.sources[{index}].name", message=message)


def _name_problem(name: str) -> str | None:
    if name in RESERVED:
        return f"{quote(name)} is what the sources of -c are called; choose another name"
    return values.dns_label(name)


def url(value: str, schemes: Sequence[str]) -> str | None:
    """What is wrong with ``SCHEME://HOST:PORT`` or ``unix:///PATH``."""
    forms = " or ".join("unix:///PATH" if scheme == "unix" else f"{scheme}://HOST:PORT" for scheme in schemes)
    wrong = f"{quote(value)} is no address of this kind; write {forms}"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return wrong
    if parts.scheme not in schemes or parts.query or parts.fragment:
        return wrong
    if parts.scheme == "unix":
        return wrong if parts.netloc or not parts.path.strip("/") else None
    if not parts.hostname or not port or parts.path.strip("/"):
        return wrong
    if parts.username is not None:
        return "must not hold a user or password; it is shown to whoever looks at this proxy"
    return None


def _check_consul(consul: ConsulSource, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.address", url(consul.address, ("http", "https", "unix")))
    yield from finding(f"{field}.namespace", values.dns_label(consul.namespace))
    if not WAIT[0] <= consul.wait <= WAIT[1]:
        yield Finding(field=f"{field}.wait", message=f"{consul.wait} is out of range; it must be between 1s and 10m")
    yield from _check_import(consul.import_, f"{field}.import")
    if consul.tls is not None:
        yield from _check_tls(consul, consul.tls, f"{field}.tls")
    if consul.kv is not None and not consul.kv.prefix.strip("/"):
        yield Finding(field=f"{field}.kv.prefix", message="must name a prefix; everything in the store is too much")
    if not consul.catalog and consul.kv is None:
        yield Finding(field=f"{field}.catalog", message="is false and there is no kv: this source would read nothing")


def _check_import(wanted: ConsulImport, field: str) -> Iterator[Finding]:
    if wanted.port is not None:
        yield from finding(f"{field}.port", values.port_number(wanted.port))
    if isinstance(wanted.services, tuple):
        for index, name in values.repeated(wanted.services):
            yield Finding(field=f"{field}.services[{index}]", message=f"{quote(name)} is there twice")


def _check_tls(consul: ConsulSource, tls: ConsulTLS, field: str) -> Iterator[Finding]:
    if not consul.address.startswith("https://"):
        yield Finding(field=field, message="is for addresses that begin with https://")
    if (tls.cert_file is None) != (tls.key_file is None):
        yield Finding(field=field, message=_BOTH_OR_NEITHER)


def _check_docker(docker: DockerSource, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.endpoint", url(docker.endpoint, ("unix", "tcp")))
    yield from finding(f"{field}.namespace", values.dns_label(docker.namespace))
    if docker.host_address is not None:
        yield from finding(f"{field}.hostAddress", values.host(docker.host_address))
    if docker.gateway is not None:
        yield from finding(f"{field}.gateway", values.namespaced_name(docker.gateway))
    if docker.network is not None and docker.published_ports:
        yield Finding(field=f"{field}.network", message="does not count with publishedPorts; leave one of them out")
    if docker.tls is not None:
        yield from _check_docker_tls(docker, docker.tls, f"{field}.tls")


def _check_docker_tls(docker: DockerSource, tls: DockerTLS, field: str) -> Iterator[Finding]:
    if not docker.endpoint.startswith("tcp://"):
        yield Finding(field=field, message="is for endpoints that begin with tcp://")
    if (tls.cert_file is None) != (tls.key_file is None):
        yield Finding(field=field, message=_BOTH_OR_NEITHER)
