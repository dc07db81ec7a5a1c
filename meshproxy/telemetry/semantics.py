"""What OpenTelemetry's HTTP conventions (stable since 1.23) fix for spans and metrics alike."""

from __future__ import annotations

KNOWN_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT"})
"""RFC 9110's, and PATCH."""
OTHER_METHOD = "_OTHER"
"""``http.request.method`` of any other: clients choose them, and their number must have a bound."""
DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds in seconds of ``http.server.request.duration``."""
