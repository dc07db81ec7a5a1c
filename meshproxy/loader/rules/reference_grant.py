"""Rules for ReferenceGrants."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import references, values
from meshproxy.loader.rules.values import finding
from meshproxy.resources.reference_grant import ReferenceGrantSpec


def check(spec: ReferenceGrantSpec) -> Iterator[Finding]:
    if not spec.from_:
        yield Finding(field="spec.from", message="must name somebody at least; without, it grants nothing")
    if not spec.to:
        yield Finding(field="spec.to", message="must name something at least; without, it grants nothing")
    for index, source in enumerate(spec.from_):
        field = f"spec.from[{index}]"
        yield from finding(f"{field}.group", references.group(source.group))
        yield from finding(f"{field}.kind", references.kind(source.kind))
        yield from finding(f"{field}.namespace", values.dns_label(source.namespace))
    for index, target in enumerate(spec.to):
        field = f"spec.to[{index}]"
        yield from finding(f"{field}.group", references.group(target.group))
        yield from finding(f"{field}.kind", references.kind(target.kind))
        if target.name is not None:
            yield from finding(f"{field}.name", values.dns_subdomain(target.name))
