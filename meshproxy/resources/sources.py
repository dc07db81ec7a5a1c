"""Where a Proxy finds resources besides its files: `Proxy.spec.sources`."""

from __future__ import annotations

from typing import Literal

from meshproxy.base.durations import Duration
from meshproxy.base.names import DEFAULT_NAMESPACE
from meshproxy.resources.meta import Shape, default_duration

DEFAULT_CONSUL_ADDRESS = "http://127.0.0.1:8500"
DEFAULT_DOCKER_ENDPOINT = "unix:///var/run/docker.sock"


class ServicesWithTag(Shape, frozen=True, kw_only=True):
    """The Consul services of which an instance has `tag`."""

    tag: str


class ConsulImport(Shape, frozen=True, kw_only=True):
    """Which Consul services become Services, and the port that these listen on.

    `port` is by default that of the instances; a service's own meta goes before both.
    """

    services: Literal["all"] | tuple[str, ...] | ServicesWithTag = ()
    port: int | None = None


class ConsulTLS(Shape, frozen=True, kw_only=True):
    """TLS to the agent. Files are PEM; without `ca_file` the system's authorities are trusted."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None


class ConsulKV(Shape, frozen=True, kw_only=True):
    """Every value under `prefix` is a text of YAML documents, as a file would be."""

    prefix: str


class ConsulSource(Shape, frozen=True, kw_only=True):
    """A Consul agent. `address` is ``http://HOST:PORT``, ``https://HOST:PORT`` or ``unix:///PATH``.

    `namespace` is where its Workloads and Services are put here; `consul_namespace` and `partition` are Consul
    Enterprise's. Of instances only those that have all `tags` count. `token_file` holds an ACL token; without it
    the environment's ``CONSUL_HTTP_TOKEN`` is used. With `catalog` false only `kv` is read. `wait` bounds a
    blocking query, 1s to 10m as Consul does.
    """

    address: str = DEFAULT_CONSUL_ADDRESS
    namespace: str = DEFAULT_NAMESPACE
    datacenter: str | None = None
    consul_namespace: str | None = None
    partition: str | None = None
    tags: tuple[str, ...] = ()
    catalog: bool = True
    import_: ConsulImport = ConsulImport()
    kv: ConsulKV | None = None
    token_file: str | None = None
    tls: ConsulTLS | None = None
    wait: Duration = default_duration("1m")


class DockerTLS(Shape, frozen=True, kw_only=True):
    """TLS to the engine. Files are PEM; without `ca_file` the system's authorities are trusted."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class DockerSource(Shape, frozen=True, kw_only=True):
    """A Docker engine. `endpoint` is ``unix:///PATH`` or ``tcp://HOST:PORT``.

    `namespace` is where its Workloads and Services are put here. Containers are reached in `network`, without one
    in a network that this proxy is in, or with `published_ports` at what they publish on the engine's machine, whose
    address `host_address` is. `gateway`, ``NAME`` or ``NAMESPACE/NAME``, is the Gateway for their ``host`` labels.
    """

    endpoint: str = DEFAULT_DOCKER_ENDPOINT
    namespace: str = DEFAULT_NAMESPACE
    network: str | None = None
    published_ports: bool = False
    host_address: str | None = None
    gateway: str | None = None
    tls: DockerTLS | None = None


class SourceSpec(Shape, frozen=True, kw_only=True):
    """One registry: exactly one of `consul` and `docker`.

    `name` is how it is called in what is shown; by default ``consul`` or ``docker``. What would take the last
    endpoint from a Service, or everything, is believed only after it was so for `empty_confirmation`; 0 believes
    it at once.
    """

    name: str | None = None
    consul: ConsulSource | None = None
    docker: DockerSource | None = None
    empty_confirmation: Duration = default_duration("10s")

    @property
    def called(self) -> str:
        """The name, given or by default."""
        return self.name or ("consul" if self.consul is not None else "docker")

    @property
    def address(self) -> str:
        """Where the registry is."""
        if self.consul is not None:
            return self.consul.address
        return self.docker.endpoint if self.docker is not None else ""
