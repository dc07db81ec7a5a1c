"""Rules for `metadata` (Kubernetes' `ValidateObjectMeta`)."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules.values import dns_label, dns_subdomain, finding, label_key, labels
from meshproxy.resources import Service
from meshproxy.resources.meta import Resource


def check(resource: Resource) -> Iterator[Finding]:
    metadata = resource.metadata
    # A Service's name becomes a DNS label (RFC 1123 since Kubernetes 1.34; 1035 before).
    name_rule = dns_label if isinstance(resource, Service) else dns_subdomain
    yield from finding("metadata.name", name_rule(metadata.name))
    yield from finding("metadata.namespace", dns_label(metadata.namespace))
    yield from labels("metadata.labels", metadata.labels)
    for key in metadata.annotations:
        yield from finding(f"metadata.annotations.{key}", label_key(key.lower()))
