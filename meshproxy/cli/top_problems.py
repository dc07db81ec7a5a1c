"""What needs somebody's attention: the same list as the dashboard's, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshproxy.cli.top_rows import Sections, groups

_MANY = 0.95
"""Below this success many requests fail, as the dashboard has it."""
_STATES = {"ExpiresSoon": "expires soon", "Expired": "has expired", "NotYetValid": "is not valid yet"}


def problems(sections: Sections) -> Iterator[str]:
    """One line each."""
    status = sections["status"]
    if not status["ready"]:
        yield f"not ready: {status['reason']}"
    yield from _of_configuration(sections)
    yield from _of_parts(status)
    for each in sections["certificates"]:
        if each["state"] in _STATES:
            yield f"certificate {each['name']} {_STATES[each['state']]}"
    yield from _of_services(sections)


def _of_configuration(sections: Sections) -> Iterator[str]:
    if sections["status"]["config"]["rejection"]:
        yield "a configuration was refused; the last good one is in force"
    errors = sum(each.get("severity", "error") != "warning" for each in sections["diagnostics"])
    if errors:
        yield f"{errors} {'error' if errors == 1 else 'errors'} in the manifests"


def _of_parts(status: Any) -> Iterator[str]:
    yield from (f"worker {each['id']} is {each['state']}" for each in status["workers"] if each["state"] != "ready")
    said = {
        **status["failedListeners"],
        **{f"source {each['name']}": each["problem"] for each in status["sources"]},
        **{f"registration {each['id']}": each["problem"] for each in status["registrations"]},
        **{part: status[part] for part in ("identity", "dns")},
        **{f"{each['signal']} to {each['endpoint']}": each["problem"] for each in status["exports"]},
    }
    yield from (f"{what}: {problem}" for what, problem in said.items() if problem)


def _of_services(sections: Sections) -> Iterator[str]:
    elsewhere = {source for source, _ in sections["mesh"]["calls"]}
    elsewhere |= {each["id"] for each in sections["mesh"]["services"] if each["type"] == "ExternalName"}
    for service, *_ in groups(sections, None):
        if not service.total and service.name not in elsewhere:
            yield f"{service.name} has no endpoints"
        if service.ready < service.total:
            yield f"{service.name}: {service.ready or 'none'} of {service.total} endpoints ready"
        if service.success is not None and service.success < _MANY:
            yield f"{service.name}: many requests fail"
