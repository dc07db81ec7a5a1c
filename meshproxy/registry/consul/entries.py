"""What Consul answers, as far as it matters here. Fields are Consul's."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

NODE_MAINTENANCE = "_node_maintenance"
SERVICE_MAINTENANCE = "_service_maintenance:"
"""Ids of the checks that `consul maint` adds, and that hold an instance back while it goes on serving."""


class Status(StrEnum):
    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


class _Entry(msgspec.Struct, frozen=True, rename="pascal"):
    pass


class Check(_Entry, frozen=True):
    """One health check. Without `service_id` it is the node's."""

    status: str
    check_id: str = msgspec.field(name="CheckID", default="")
    node: str = ""
    service_id: str = msgspec.field(name="ServiceID", default="")
    service_name: str = ""


class Locality(_Entry, frozen=True):
    zone: str = ""


class Node(_Entry, frozen=True):
    node: str
    address: str = ""
    meta: dict[str, str] | None = None
    locality: Locality | None = None


class Weights(_Entry, frozen=True):
    passing: int = 1
    warning: int = 1


class AgentService(_Entry, frozen=True):
    service: str
    id: str = msgspec.field(name="ID", default="")
    kind: str = ""
    address: str = ""
    port: int = 0
    tags: tuple[str, ...] | None = None
    meta: dict[str, str] | None = None
    tagged_addresses: dict[str, Any] | None = None
    weights: Weights | None = None
    locality: Locality | None = None


class Instance(_Entry, frozen=True):
    """An instance of a service with its node and all checks that concern it (``/v1/health/service``)."""

    node: Node
    service: AgentService
    checks: tuple[Check, ...] | None = None

    @property
    def status(self) -> Status:
        """The worst of its checks; what Consul does not name is as bad as critical."""
        statuses = {check.status for check in self.checks or () if not is_maintenance(check)}
        if statuses - {Status.PASSING, Status.WARNING}:
            return Status.CRITICAL
        return Status.WARNING if Status.WARNING in statuses else Status.PASSING

    @property
    def in_maintenance(self) -> bool:
        return any(is_maintenance(check) for check in self.checks or ())


class ServiceSummary(_Entry, frozen=True):
    """A service in numbers (``/v1/internal/ui/services``)."""

    name: str
    instance_count: int = 0
    checks_passing: int = 0
    checks_warning: int = 0
    checks_critical: int = 0
    nodes: tuple[str, ...] | None = None


class KeyValue(_Entry, frozen=True):
    """`value` is bytes; a key without any has None."""

    key: str
    value: bytes | None = None


def is_maintenance(check: Check) -> bool:
    return check.check_id == NODE_MAINTENANCE or check.check_id.startswith(SERVICE_MAINTENANCE)


class IntentionEntry(_Entry, frozen=True):
    """An intention (``/v1/connect/intentions/match``). `permissions` are read one by one: see `PermissionEntry`."""

    source_name: str
    source_namespace: str = msgspec.field(name="SourceNS", default="default")
    source_partition: str = ""
    source_peer: str = ""
    source_sameness_group: str = ""
    destination_name: str = "*"
    action: str = ""
    precedence: int = 0
    permissions: tuple[dict[str, Any], ...] | None = None
    jwt: dict[str, Any] | None = msgspec.field(name="JWT", default=None)


class _WhollyKnown(_Entry, frozen=True, forbid_unknown_fields=True):
    """What says who may do what, of which no part may be passed over."""


class HeaderEntry(_WhollyKnown, frozen=True):
    name: str
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    contains: str = ""
    regex: str = ""
    invert: bool = False
    ignore_case: bool = False


class HTTPEntry(_WhollyKnown, frozen=True):
    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    header: tuple[HeaderEntry, ...] | None = None
    methods: tuple[str, ...] | None = None


class PermissionEntry(_WhollyKnown, frozen=True):
    """One of an intention's permissions, without what only Consul's own proxies can judge (a JWT)."""

    action: Literal["allow", "deny"]
    http: HTTPEntry | None = msgspec.field(name="HTTP", default=None)
    jwt: None = msgspec.field(name="JWT", default=None)


class Authorized(_Entry, frozen=True):
    """Whether a caller may come in (``/v1/agent/connect/authorize``)."""

    authorized: bool
