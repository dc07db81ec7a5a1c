"""Collects what is wrong, or odd, while compiling goes on."""

from __future__ import annotations

from meshproxy.base.errors import Finding, Severity
from meshproxy.resources.meta import Resource


class Diagnostics:
    """Findings name a resource and a field; the loader knows where those stand."""

    def __init__(self) -> None:
        self._findings: dict[Finding, None] = {}

    def error(self, resource: Resource, field: str, message: str) -> None:
        self._findings[Finding(resource=resource.label, field=field, message=message)] = None

    def warning(self, resource: Resource, field: str, message: str) -> None:
        finding = Finding(severity=Severity.WARNING, resource=resource.label, field=field, message=message)
        self._findings[finding] = None

    def findings(self) -> tuple[Finding, ...]:
        """Each once, by resource and field."""
        return tuple(sorted(self._findings, key=lambda finding: (finding.resource, finding.field, finding.message)))
