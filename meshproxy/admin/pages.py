"""The dashboard's files, as they are in `meshproxy/admin/dashboard`: HTML, CSS and modules for browsers, nothing built.

They hold no data and may be had by anyone who reaches the admin address; what they show, they ask the API for. The
content security policy allows for nothing else: no script or style but these files, no other host, no frame around
them, and no HTML made of text (Trusted Types), which is what names and paths on the page might try.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

FOLDER = Path(__file__).parent / "dashboard"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # which is: ask whether it changed
    "Vary": "Accept-Encoding",
}


class _Page(NamedTuple):
    plain: bytes
    packed: bytes
    tag: str
    type: str


@cache
def _pages() -> dict[str, _Page]:
    """Every file by its path within the folder; read once, when somebody first looks."""
    files = (path for path in sorted(FOLDER.rglob("*")) if path.suffix in TYPES)
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in files}


def _read(path: Path) -> _Page:
    data = path.read_bytes()
    return _Page(data, gzip.compress(data, mtime=0), hashlib.sha256(data).hexdigest()[:16], TYPES[path.suffix])


def page(name: str, request: web.Request) -> web.Response | None:
    """The file called `name`, as `request` can have it; None where there is none."""
    found = _pages().get(name)
    if found is None:
        return None
    headers = HEADERS | {"Content-Type": found.type, "ETag": f'"{found.tag}"'}
    if any(each.value == found.tag for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=found.packed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=found.plain, headers=headers)
