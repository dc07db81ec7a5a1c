"""The few error types, each telling its reader what to do.

Lower layers raise; the edge (CLI, control plane, connection owner) reports once.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import msgspec


class MeshproxyError(Exception):
    """Everything that meshproxy raises on purpose."""


class Severity(enum.StrEnum):
    """How bad a finding is: an error refuses the configuration, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing wrong with the configuration, written so that a person can mend it.

    `file` is empty and `line` 0 where no file is to blame; `resource` is ``kind/name``
    (with ``namespace/`` before the name unless it is ``default``); `field` is the path
    inside the document, such as ``spec.ports[0].port``.
    """

    message: str
    severity: Severity = Severity.ERROR
    file: str = ""
    line: int = 0
    resource: str = ""
    field: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [part for part in (place, self.resource, self.field) if part]
        prefix = "warning: " if self.severity is Severity.WARNING else ""
        return ": ".join([*parts, prefix + self.message])


def errors_in(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Only the findings that refuse a configuration."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)


class ConfigError(MeshproxyError):
    """The configuration is refused. `findings` holds everything that is wrong, not just the first."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


class SnapshotRejected(MeshproxyError):
    """A snapshot is inconsistent or could not be applied; the last good one stays in force."""

    def __init__(self, version: str, reasons: Sequence[str]) -> None:
        super().__init__(f"snapshot {version}: " + "; ".join(reasons))
        self.version = version
        self.reasons = tuple(reasons)


class ProtocolError(MeshproxyError):
    """A peer sent bytes that its protocol does not allow."""
