"""Collects what is wrong, or odd, while compiling goes on."""

from __future__ import annotations

from collections.abc import Collection

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.meta import Resource

_MOST_COMPARISONS = 100_000
"""With names, for hints, in one compilation: about 0.1 s. A source that is away leaves thousands of names unknown."""


class Diagnostics:
    """Findings name a resource and a field; the loader knows where those stand."""

    def __init__(self) -> None:
        self._findings: dict[Finding, None] = {}
        self._comparisons = 0
        self._said = 0

    @property
    def said(self) -> int:
        """How often something was said so far, the same again included."""
        return self._said

    def error(self, resource: Resource, field: str, message: str) -> None:
        self._say(Finding(resource=resource.label, field=field, message=message))

    def warning(self, resource: Resource, field: str, message: str) -> None:
        self._say(Finding(severity=Severity.WARNING, resource=resource.label, field=field, message=message))

    def hint(self, wrong: str, right: Collection[str]) -> str:
        """`did_you_mean`, or nothing once that has taken long enough."""
        self._comparisons += len(right)
        return did_you_mean(wrong, right) if self._comparisons <= _MOST_COMPARISONS else ""

    def _say(self, finding: Finding) -> None:
        self._findings[finding] = None
        self._said += 1

    def findings(self) -> tuple[Finding, ...]:
        """Each once, by resource and field."""
        return tuple(sorted(self._findings, key=lambda finding: (finding.resource, finding.field, finding.message)))
