"""TLS handshakes, and what keeps them from succeeding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from meshproxy.admin.documents.row import Row
from meshproxy.admin.view import ProxyView
from meshproxy.identity.expiry import CertificateState
from meshproxy.identity.inventory import ROOT
from meshproxy.telemetry.handshake_totals import DOWNSTREAM, RESUMED, SUCCESSES, UPSTREAM


class HandshakesRow(Row, frozen=True, kw_only=True):
    """Counts since the start: those that succeeded, `resumed` of them from a session; and failures by reason."""

    succeeded: int = 0
    resumed: int = 0
    failures: dict[str, int] = {}


class TLSStatus(Row, frozen=True, kw_only=True):
    """Handshakes with clients and with endpoints. `problems` fail some of them, `warnings` may soon."""

    clients: HandshakesRow
    endpoints: HandshakesRow
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def handshakes_by_name(view: ProxyView) -> dict[str, HandshakesRow]:
    """By listener or cluster."""
    counts: dict[str, Counter[str]] = {}
    for key, count in view.handshakes().items():
        counts.setdefault(key.name, Counter())[key.outcome] += count
    return {name: _row(outcomes) for name, outcomes in counts.items()}


def document(view: ProxyView) -> TLSStatus:
    handshakes = view.handshakes().items()

    def of(side: str) -> HandshakesRow:
        outcomes: Counter[str] = Counter()
        for key, count in handshakes:
            if key.side == side:
                outcomes[key.outcome] += count
        return _row(outcomes)

    found = tuple(_complaints(view))
    return TLSStatus(
        clients=of(DOWNSTREAM),
        endpoints=of(UPSTREAM),
        problems=(*view.tls_problems(), *(text for is_problem, text in found if is_problem)),
        warnings=tuple(text for is_problem, text in found if not is_problem),
    )


def _row(outcomes: Counter[str]) -> HandshakesRow:
    return HandshakesRow(
        succeeded=sum(outcomes[each] for each in SUCCESSES),
        resumed=outcomes[RESUMED],
        failures={reason: count for reason, count in sorted(outcomes.items()) if reason not in SUCCESSES},
    )


def _complaints(view: ProxyView) -> Iterator[tuple[bool, str]]:
    """(is it a problem, what it is) of certificates; of several roots one may have had its time."""
    for each in view.certificates():
        complaint = each.complaint()
        if complaint:
            yield each.kind != ROOT and each.state is not CertificateState.EXPIRES_SOON, complaint
