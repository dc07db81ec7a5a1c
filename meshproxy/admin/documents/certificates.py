"""The certificates in force: this proxy's own, and the roots that it trusts."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.admin.view import ProxyView
from meshproxy.identity.status import CertificateStatus


def rows(view: ProxyView) -> Iterable[CertificateStatus]:
    status = view.identity()
    return status.certificates if status is not None else ()
