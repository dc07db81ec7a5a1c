"""Which documents are ours, which are passed over, and which would be missed."""

from __future__ import annotations

from typing import Any

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources import KINDS
from meshproxy.resources.meta import Resource

IGNORED = frozenset(
    {
        "Pod",
        "ReplicaSet",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "Namespace",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "StorageClass",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "LimitRange",
        "ResourceQuota",
        "CustomResourceDefinition",
        "Kustomization",
    }
)
"""Kubernetes kinds that say nothing about traffic: people point meshproxy at the manifests they have."""

NOT_YET = frozenset(
    {
        "GRPCRoute",
        "TCPRoute",
        "UDPRoute",
        "BackendTrafficPolicy",
        "ListenerSet",
        "NetworkPolicy",
        "PeerAuthentication",
        "VirtualService",
        "DestinationRule",
        "ServiceEntry",
    }
)
"""Kinds that say who may go where: traffic would not do what they say, so that passing over them would deceive."""

_VERSIONS: dict[str, list[str]] = {}
for _api_version, _kind in KINDS:
    _VERSIONS.setdefault(_kind, []).append(_api_version)


def kind_of(document: Any) -> type[Resource] | Finding:
    """The struct that `document` should become, or why there is none. The finding has no place yet."""
    if not isinstance(document, dict):
        return Finding(message="a document must be a mapping with apiVersion, kind and metadata")
    kind, api_version = document.get("kind"), document.get("apiVersion")
    for field, value in (("kind", kind), ("apiVersion", api_version)):
        if not isinstance(value, str) or not value:
            return Finding(field=field, message="this field is required, and is a string")
    found = KINDS.get((str(api_version), str(kind)))
    if found is not None:
        return found
    if kind in _VERSIONS:
        known = " or ".join(_VERSIONS[kind])
        return Finding(field="apiVersion", message=f"{kind} is known as {known}, not {api_version}")
    if kind in IGNORED:
        message = f"{kind} says nothing to meshproxy and is passed over"
        return Finding(severity=Severity.WARNING, field="kind", message=message)
    known = ", ".join(sorted(_VERSIONS))
    if kind in NOT_YET:
        what = f"{kind} would change where traffic goes, and this version does not read it; remove it"
    else:
        what = f"unknown kind {kind}{did_you_mean(str(kind), _VERSIONS)}"
    return Finding(field="kind", message=f"{what}; this version reads {known}")


def label_of(document: Any) -> str:
    """How findings name a document that may not be a resource yet: ``Service/backend``."""
    if not isinstance(document, dict):
        return ""
    metadata = document.get("metadata")
    kind = str(document.get("kind", ""))
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return kind
    namespace = metadata.get("namespace")
    prefix = f"{namespace}/" if isinstance(namespace, str) and namespace != "default" else ""
    return f"{kind}/{prefix}{metadata['name']}"
