"""Services that run here and are written into a registry: `Proxy.spec.register`."""

from __future__ import annotations

from meshproxy.base.durations import Duration
from meshproxy.resources.meta import Shape, default_duration

AUTOMATIC = "auto"
"""The address of a registration that is the one which this machine has towards the agent."""


class RegisteredHTTP(Shape, frozen=True, kw_only=True):
    """`GET` of `path` must be answered with a status of 200 to 299."""

    path: str = "/"


class RegisteredTCP(Shape, frozen=True, kw_only=True):
    """A connection must open."""


class RegisteredCheck(Shape, frozen=True, kw_only=True):
    """At most one of `http` and `tcp`.

    Without `ttl` the agent checks. With it this proxy does, by `http` or `tcp` or by being there at all, and tells the
    agent, which counts the service as critical when it was told nothing for so long. What was critical for
    `deregister_critical_service_after` is removed by the agent (a minute at least).
    """

    http: RegisteredHTTP | None = None
    tcp: RegisteredTCP | None = None
    ttl: Duration | None = None
    interval: Duration = default_duration("10s")
    timeout: Duration = default_duration("1s")
    deregister_critical_service_after: Duration | None = None


class RegisteredWeights(Shape, frozen=True, kw_only=True):
    """Consul's weights: of an instance that passes its checks, and of one with a warning."""

    passing: int = 1
    warning: int = 1


class Registration(Shape, frozen=True, kw_only=True):
    """One service of this machine.

    `id` is by default made of `name`, the host's name and `port`; `address` is the agent's own node, or with ``auto``
    the one that this machine has towards the agent. `source` names the Consul source with whose agent to register,
    where there are several.
    """

    name: str
    port: int
    id: str | None = None
    address: str | None = None
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = {}
    weights: RegisteredWeights | None = None
    check: RegisteredCheck | None = None
    source: str | None = None
