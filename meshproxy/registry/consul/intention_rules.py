"""From what Consul says of intentions to ServiceIntentions. Pure.

What cannot be judged here, such as a permission that asks for a JWT, refuses: where it would have allowed a call, that
is safe, and where it would have refused one, it is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from meshproxy.base.errors import Finding, Severity
from meshproxy.base.regex import compile_pattern
from meshproxy.registry.consul.entries import HeaderEntry, HTTPEntry, IntentionEntry, PermissionEntry
from meshproxy.resources import ObjectMeta, ServiceIntentions
from meshproxy.resources.intentions import (
    ANYTHING,
    Intention,
    IntentionAction,
    IntentionHeader,
    IntentionPermission,
    ServiceIntentionsSpec,
)

API_VERSION = "meshproxy.dev/v1"
OWN_PARTITIONS = ("", "default")
ANY_BYTES = r"\C*"
"""In RE2's syntax; a dot is a character of valid UTF-8."""
REFUSE = IntentionPermission(action=IntentionAction.DENY)
"""In place of a permission that cannot be judged: whatever gets so far."""
MAX_FINDINGS = 20
"""Said about one destination."""


def is_about_everyone(entry: IntentionEntry) -> bool:
    """Whether it is about every service that may call."""
    return entry.source_name == ANYTHING and _can_come_in(entry)


def _can_come_in(entry: IntentionEntry) -> bool:
    """Whether its source is one whose certificate is believed here: of this cluster, and of Consul's own partition."""
    foreign = entry.source_peer or entry.source_sameness_group
    return not foreign and entry.source_partition in OWN_PARTITIONS


def convert(
    destination: str, entries: Iterable[IntentionEntry], default: bool
) -> tuple[ServiceIntentions, tuple[Finding, ...]]:
    """Everything about who may call `destination`, and warnings about what is refused since it cannot be judged."""
    findings: list[Finding] = []
    ordered = sorted(filter(_can_come_in, entries), key=lambda entry: -entry.precedence)
    document = ServiceIntentions(
        api_version=API_VERSION,
        kind="ServiceIntentions",
        metadata=ObjectMeta(name=destination),
        spec=ServiceIntentionsSpec(
            destination=destination,
            default=IntentionAction.of(default),
            intentions=tuple(_intention(each, findings) for each in ordered),
        ),
    )
    return document, tuple(findings[:MAX_FINDINGS])


def _intention(entry: IntentionEntry, findings: list[Finding]) -> Intention:
    made = Intention(
        source=entry.source_name,
        namespace=entry.source_namespace,
        destination=entry.destination_name,
        action=IntentionAction.of(entry.action == IntentionAction.ALLOW),
    )

    def refuse(reason: str) -> IntentionPermission:
        message = f"asks for what cannot be judged here: {reason}; callers that get so far are refused"
        findings.append(Finding(severity=Severity.WARNING, resource=made.label, message=message))
        return REFUSE

    if entry.jwt is not None:
        refuse("a JWT")
        return msgspec.structs.replace(made, action=IntentionAction.DENY)
    permissions = []
    for each in entry.permissions or ():
        try:
            permissions.append(_permission(each))
        except (ValueError, msgspec.ValidationError) as error:
            permissions.append(refuse(str(error)))
    return msgspec.structs.replace(made, permissions=tuple(permissions))


def _permission(written: dict[str, Any]) -> IntentionPermission:
    """Raises `ValueError` or `msgspec.ValidationError` with what cannot be judged."""
    entry = msgspec.convert(written, PermissionEntry)
    http = entry.http or HTTPEntry()
    if http.path_regex:
        compile_pattern(http.path_regex)
    return IntentionPermission(
        action=IntentionAction(entry.action),
        path_exact=http.path_exact,
        path_prefix=http.path_prefix,
        path_regex=http.path_regex,
        methods=http.methods or (),
        headers=tuple(map(_header, http.header or ())),
    )


def _header(entry: HeaderEntry) -> IntentionHeader:
    pattern = _pattern(entry)
    if pattern is not None:
        compile_pattern(pattern)
    return IntentionHeader(name=entry.name, pattern=pattern, invert=entry.invert)


def _pattern(entry: HeaderEntry) -> str | None:
    """What a value must match; None for any. Where several things are said Consul takes the first in this order."""
    if entry.exact:
        text = re.escape(entry.exact)
    elif entry.regex:
        return entry.regex
    elif entry.prefix:
        text = re.escape(entry.prefix) + ANY_BYTES
    elif entry.suffix:
        text = ANY_BYTES + re.escape(entry.suffix)
    elif entry.contains:
        text = ANY_BYTES + re.escape(entry.contains) + ANY_BYTES
    elif entry.present:
        return None
    else:
        raise ValueError(f"the header {entry.name}, of which nothing is said")
    return f"(?i){text}" if entry.ignore_case else text
