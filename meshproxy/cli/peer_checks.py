"""Whether those whom a configuration names can be reached."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from meshproxy.cli.machine_checks import Check, Grade
from meshproxy.resources import Proxy
from meshproxy.resources.identity import ProxyIdentity
from meshproxy.resources.proxy import ProxySpec

TIMEOUT = 3.0
"""Seconds for each of them."""


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def peers(proxy: Proxy) -> Iterator[Check]:
    """Registries, the CA, the collector, and files of certificates."""
    spec = proxy.spec
    for source in spec.sources:
        if source.consul is not None:
            yield _answers("Consul", source.consul.address, "/v1/status/leader", "spec.sources[].consul.address")
        if source.docker is not None:
            yield _answers("Docker", source.docker.endpoint, "/_ping", "spec.sources[].docker.endpoint")
    if spec.identity is not None:
        yield from _identity(spec.identity)
    yield from _collector(spec)


def _identity(identity: ProxyIdentity) -> Iterator[Check]:
    if identity.ca is not None:
        yield _listens("CA", identity.ca.url, "meshproxy ca serve runs one; see spec.identity.ca.url")
    if identity.files is not None:
        files = identity.files
        for path in (files.certificate, files.key, files.roots, files.crl):
            if path is not None:
                yield _readable(path)


def _readable(path: str) -> Check:
    try:
        Path(path).read_bytes()
    except OSError as error:
        advice = "the proxy's user must be able to read it; paths are relative to where it is started"
        return Check("certificates", Grade.FAILED, f"{path}: {error.strerror}", advice)
    return Check("certificates", Grade.OK, f"{path} can be read")


def _collector(spec: ProxySpec) -> Iterator[Check]:
    otlp = spec.telemetry.otlp if spec.telemetry is not None else None
    if otlp is not None:
        check = _listens("collector", otlp.endpoint, "telemetry is dropped until it is there; traffic goes on")
        yield check if check.grade is Grade.OK else check._replace(grade=Grade.WARNING)


def _answers(what: str, url: str, path: str, field: str) -> Check:
    """An HTTP server that answers anything below 500: one that refuses us is there."""
    try:
        connection = _connection(url)
        try:
            connection.request("GET", path)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        advice = f"start it, or see {field}; until then what it said last stays in force"
        return Check(what, Grade.FAILED, f"{url}: {_reason(error)}", advice)
    if status >= 500:
        return Check(what, Grade.WARNING, f"{url} answers {status}", "it has no leader, or is still starting")
    if status in (401, 403):
        return Check(what, Grade.WARNING, f"{url} answers {status}", "an ACL token is needed (tokenFile)")
    return Check(what, Grade.OK, f"{url} answers")


def _connection(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whether it is there is the question
        return HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=context)
    return HTTPConnection(host, parts.port, timeout=TIMEOUT)


def _listens(what: str, url: str, advice: str) -> Check:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), TIMEOUT).close()
    except OSError as error:
        return Check(what, Grade.FAILED, f"{url}: {_reason(error)}", advice)
    return Check(what, Grade.OK, f"{url} takes connections")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).lower()
