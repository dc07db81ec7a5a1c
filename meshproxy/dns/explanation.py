"""Why a name has the answer that it has, in words."""

from __future__ import annotations

import dns.rdatatype

from meshproxy.dns import names
from meshproxy.dns.forwarder import Forwarder, Question
from meshproxy.dns.zone import Local, Zone
from meshproxy.telemetry.dns import DNSExplanation


def explain(zone: Zone, forwarder: Forwarder, name: str, kind: str) -> DNSExplanation:
    """What is said to a question for `name`, of type `kind`; raises `ValueError` where either is none."""
    try:
        rdtype = dns.rdatatype.from_text(kind)
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        raise ValueError(f"{kind!r} is no record type; such are A, AAAA, SRV, CNAME, PTR, TXT") from None
    labels = names.labels_of(name)
    if any(not each or len(each.encode()) > 63 for each in labels) or sum(len(each) + 1 for each in labels) > 254:
        raise ValueError(f"{name!r} is not a DNS name: labels of 1 to 63 bytes between dots, 253 at most in all")
    found = zone.answer(labels, dns.rdatatype.to_text(rdtype))
    if found is None:
        return _forwarded(forwarder, labels, rdtype, name, kind)
    explained = _local(found, name, kind)
    if not found.alias or zone.answer(names.labels_of(found.alias), kind) is not None:
        return explained
    onward = _forwarded(forwarder, names.labels_of(found.alias), rdtype, found.alias, kind)
    return DNSExplanation(
        name=name,
        type=kind,
        reason=f"{found.reason}; {onward.reason}",
        service=explained.service,
        forwarded=True,
        upstream=onward.upstream,
        cached_for=onward.cached_for,
    )


def _local(found: Local, name: str, kind: str) -> DNSExplanation:
    service = "/".join(found.service) if found.service is not None else ""
    return DNSExplanation(name=name, type=kind, reason=found.reason, exists=found.exists, service=service)


def _forwarded(
    forwarder: Forwarder, labels: names.Labels, rdtype: dns.rdatatype.RdataType, name: str, kind: str
) -> DNSExplanation:
    question = Question.about(labels, rdtype)
    known = forwarder.peek(question)
    upstreams = ", ".join(str(each.address) for each in forwarder.upstreams.all)
    if known is not None:
        reason = f"{name} is no Service's name: {known.upstream} was asked"
    elif failure := forwarder.failure_of(question):
        reason = f"{name} is no Service's name, and no upstream answers: {failure}"
    elif upstreams:
        reason = f"{name} is no Service's name: it is forwarded to {upstreams}"
    else:
        reason = f"{name} is no Service's name, and {forwarder.upstreams.why_none()}"
    return DNSExplanation(
        name=name,
        type=kind,
        reason=reason,
        forwarded=True,
        upstream=known.upstream if known is not None else "",
        cached_for=known.left(forwarder.now()) if known is not None else None,
    )
