"""Manifests as a user would write them, with only what a test cares about spelled out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from meshproxy.base.addresses import SocketAddress

Manifest = dict[str, Any]


def to_yaml(*documents: Manifest) -> str:
    """A multi-document YAML file (JSON is YAML)."""
    return "".join(f"---\n{json.dumps(document, indent=1)}\n" for document in documents)


def make_proxy(address: SocketAddress, **spec: Any) -> Manifest:
    return {
        "apiVersion": "meshproxy.dev/v1",
        "kind": "Proxy",
        "metadata": {"name": "test"},
        "spec": {"drainTimeout": "5s", **spec, "admin": {"address": str(address), **spec.get("admin", {})}},
    }


def make_service(address: SocketAddress | None = None, name: str = "backend", **spec: Any) -> Manifest:
    """A Service at `address` whose endpoints are the Workloads labelled ``app: <name>``."""
    filled: dict[str, Any] = {"selector": {"app": name}}
    if address is not None:
        filled["clusterIP"] = address.host
        filled["ports"] = [{"name": "main", "port": address.port, "targetPort": "main"}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": filled | spec}


def make_tcp_service(address: SocketAddress, **spec: Any) -> Manifest:
    """One whose clients nobody waits for, to see whether they speak HTTP: for tests with many connections."""
    port = {"name": "main", "port": address.port, "targetPort": "main", "appProtocol": "tcp"}
    return make_service(address, ports=[port], **spec)


def make_workload(address: SocketAddress, name: str, app: str = "backend", **spec: Any) -> Manifest:
    return {
        "apiVersion": "meshproxy.dev/v1",
        "kind": "Workload",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"address": address.host, "ports": {"main": address.port}, **spec},
    }


def make_policy(service: str = "backend", **spec: Any) -> Manifest:
    return {
        "apiVersion": "meshproxy.dev/v1",
        "kind": "TrafficPolicy",
        "metadata": {"name": service},
        "spec": {"targetRefs": [{"kind": "Service", "name": service}], **spec},
    }


def make_slice(
    port: int, endpoints: Sequence[Mapping[str, Any]], service: str = "backend", name: str = "", protocol: str = "TCP"
) -> Manifest:
    """An EndpointSlice written by hand; `endpoints` are as in Kubernetes."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name or f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "main", "port": port, "protocol": protocol}],
        "endpoints": list(endpoints),
    }


def make_route(service: str, *rules: Mapping[str, Any], **spec: Any) -> Manifest:
    """An HTTPRoute that is attached to a Service, and named after it."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": service},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": service}], "rules": list(rules), **spec},
    }
