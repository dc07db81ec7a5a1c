"""Answers that nobody but the proxy gives."""

from __future__ import annotations

from http import HTTPStatus

_TEXTS = {
    400: "bad request",
    403: "a policy forbids this request",
    404: "no route matches this request",
    408: "the request took too long to arrive",
    413: "the request's body is larger than allowed",
    414: "the request's target is longer than allowed",
    417: "the expectation cannot be met",
    421: "another listener serves this host; ask on a connection of its own",
    426: "HTTP/1.1 is needed",
    429: "too many requests",
    431: "the request's head is larger than allowed",
    500: "the route has no backend for this request",
    501: "not implemented",
    502: "the upstream gave no valid response",
    503: "no upstream is available",
    504: "the upstream did not respond in time",
    505: "the HTTP version is not supported",
}


def local_reply(
    status: int,
    *,
    text: str = "",
    fields: bytes = b"",
    to_head: bool = False,
    close: bool = False,
    keep_alive: bool = False,
) -> bytes:
    """A whole response: `fields` are field lines, each with its line end; `close` and `keep_alive` say so.

    `text` goes on its only line; without it the body is a standard sentence, or nothing for a redirect.
    """
    sentence = text or _TEXTS.get(status, "")
    body = f"{sentence}\n".encode("latin-1", "replace") if sentence else b""
    connection = b"connection: close\r\n" if close else b"connection: keep-alive\r\n" if keep_alive else b""
    upgrade = b"upgrade: HTTP/1.1\r\n" if status == 426 else b""
    kind = b"content-type: text/plain; charset=utf-8\r\n" if body else b""
    length = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
    head = b"HTTP/1.1 %d %b\r\n%b%b%b%b%bserver: meshproxy\r\n\r\n" % (
        status, HTTPStatus(status).phrase.encode(), fields, kind, length, connection, upgrade,
    )  # fmt: skip
    return head if to_head else head + body
