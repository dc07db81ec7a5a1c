"""Rules for BackendTLSPolicies (the Gateway API's custom resource definition)."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import http_values, references, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.backend_tls_policy import AltNameType, BackendTLSPolicySpec, BackendValidation, SubjectAltName

MAX_TARGETS = 16
MAX_REFS = 8
MAX_NAMES = 5


def check(spec: BackendTLSPolicySpec) -> Iterator[Finding]:
    if not spec.target_refs:
        yield Finding(field="spec.targetRefs", message="must name a Service at least")
    yield from too_many("spec.targetRefs", spec.target_refs, MAX_TARGETS)
    for index, ref in enumerate(spec.target_refs):
        field = f"spec.targetRefs[{index}]"
        if ref.kind != "Service" or ref.group not in ("", "core"):
            message = f"a BackendTLSPolicy attaches to Services, not to {ref.kind}{did_you_mean(ref.kind, ['Service'])}"
            yield Finding(field=f"{field}.kind", message=message)
        yield from finding(f"{field}.name", values.dns_label(ref.name))
    yield from _check_validation(spec.validation, "spec.validation")


def _check_validation(validation: BackendValidation, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.hostname", http_values.precise_hostname(validation.hostname))
    refs = validation.ca_certificate_refs
    if bool(refs) == (validation.well_known_ca_certificates is not None):
        message = "must have exactly one of caCertificateRefs and wellKnownCACertificates"
        yield Finding(field=field, message=message)
    yield from too_many(f"{field}.caCertificateRefs", refs, MAX_REFS)
    for index, ref in enumerate(refs):
        at = f"{field}.caCertificateRefs[{index}]"
        yield from finding(f"{at}.group", references.group(ref.group))
        yield from finding(f"{at}.kind", references.kind(ref.kind))
        yield from finding(f"{at}.name", values.dns_subdomain(ref.name))
        if ref.namespace is not None:
            yield Finding(field=f"{at}.namespace", message="must be of the policy's own namespace; leave it out")
    yield from too_many(f"{field}.subjectAltNames", validation.subject_alt_names, MAX_NAMES)
    for index, name in enumerate(validation.subject_alt_names):
        yield from _check_name(f"{field}.subjectAltNames[{index}]", name)


def _check_name(field: str, name: SubjectAltName) -> Iterator[Finding]:
    given = {"hostname": name.hostname, "uri": name.uri}
    wanted = "uri" if name.type is AltNameType.URI else "hostname"
    for key, value in given.items():
        if (value is not None) is not (key == wanted):
            message = "this field is required" if key == wanted else "this field does not go"
            yield Finding(field=f"{field}.{key}", message=f"{message} with type: {name.type}")
    if name.hostname is not None and wanted == "hostname":
        yield from finding(f"{field}.hostname", http_values.hostname(name.hostname))
