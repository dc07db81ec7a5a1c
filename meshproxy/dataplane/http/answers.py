"""What a rule or a backend answers itself: preflights, and redirects."""

from __future__ import annotations

from typing import NamedTuple

from meshproxy.dataplane.http.actions import BackendAction, RuleAction
from meshproxy.dataplane.http.cors import CORSPolicy
from meshproxy.dataplane.http.redirects import redirect_fields
from meshproxy.protocols.http1.request import RequestHead

_PREFLIGHT = 204


class Answer(NamedTuple):
    """`fields` are complete field lines."""

    status: int
    fields: bytes


def own_answer(
    action: RuleAction | BackendAction, head: RequestHead, prefix: bytes, here: tuple[str, int]
) -> Answer | None:
    """The answer to a request that no endpoint has to see; `prefix` and `here` are as for `redirects.location`."""
    fields = action.cors.preflight(head) if action.cors is not None else None
    if fields is not None:
        return Answer(_PREFLIGHT, fields)
    redirect = action.redirect
    if redirect is None:
        return None
    return Answer(redirect.status, redirect_fields(redirect, action.response_edits, head, prefix, here))


def readable_fields(cors: CORSPolicy, head: RequestHead, status: int) -> bytes:
    """The field lines that let a page of an allowed origin read what the proxy answers: errors, and redirects.

    To a browser a redirect without them is a failure (Fetch standard, "HTTP fetch", CORS check).
    """
    if status == _PREFLIGHT:
        return b""  # which says so already
    lines = cors.response_fields(head)
    return lines[2:] + b"\r\n" if lines else b""
