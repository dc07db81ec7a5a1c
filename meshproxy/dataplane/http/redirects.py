"""Where a redirect leads, and what a rewritten request asks for."""

from __future__ import annotations

from collections.abc import Sequence

from meshproxy.base.addresses import host_port
from meshproxy.dataplane.http.header_edits import HeaderEdit, apply_all
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.routing.paths import replace_prefix
from meshproxy.snapshot.routes import PathRewrite, Redirect

_WELL_KNOWN = {"http": 80, "https": 443}


def location(redirect: Redirect, head: RequestHead, prefix: bytes, here: tuple[str, int]) -> bytes:
    """The Location of a redirect (Gateway API `HTTPRequestRedirectFilter`).

    `prefix` is what the rule matched, `here` the request's scheme and the listener's port.
    """
    scheme = redirect.scheme or here[0]
    host = redirect.hostname or head.host.decode("latin-1")
    port = redirect.port
    if port is None and redirect.scheme is None:
        port = here[1]
    if port is not None and port != _WELL_KNOWN.get(scheme):
        host = host if host.startswith("[") else host_port(host, port).removesuffix(f":{port}")
        host = f"{host}:{port}"
    return f"{scheme}://{host}".encode("latin-1") + rewritten_target(redirect.path, head, prefix)


def redirect_fields(
    redirect: Redirect, edits: Sequence[HeaderEdit], head: RequestHead, prefix: bytes, here: tuple[str, int]
) -> bytes:
    """The field lines of a redirect's answer, each with its line end; `edits` are the rule's for responses."""
    return apply_all(edits, b"\r\nlocation: " + location(redirect, head, prefix, here))[2:] + b"\r\n"


def rewritten_target(path: PathRewrite | None, head: RequestHead, prefix: bytes) -> bytes:
    """The request's target in origin form, with its path rewritten and its query as it is."""
    target = head.path
    if path is not None:
        if path.full is not None:
            target = path.full.encode()
        elif path.prefix is not None:
            target = replace_prefix(head.path, prefix, path.prefix.encode())
    return target if head.query_part is None else target + b"?" + head.query_part
