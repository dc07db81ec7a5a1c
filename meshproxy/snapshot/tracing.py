"""Which requests are traced, and how callers and endpoints are told."""

from __future__ import annotations

import enum

from meshproxy.snapshot.value import Value


class Propagation(enum.StrEnum):
    """Header fields that say where a request belongs in a trace (`protocols.trace_context`)."""

    W3C = "W3C"
    B3 = "B3"
    B3_MULTI = "B3Multi"


class Tracing(Value, frozen=True, kw_only=True):
    """A share of `sampling` (0 to 1) of the requests that begin a trace is recorded; of others the caller has decided.

    With `always_errors` requests are recorded, too, that ended with a 5xx or a response flag (a tail decision: who was
    called has not recorded them). `connections` records TCP connections without HTTP. Without `records` nothing is
    recorded, and what callers say passes as it is.
    """

    sampling: float
    propagation: tuple[Propagation, ...] = (Propagation.W3C,)
    always_errors: bool = True
    connections: bool = False
    records: bool = True
