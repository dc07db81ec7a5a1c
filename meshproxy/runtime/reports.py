"""What is kept of what the workers report."""

from __future__ import annotations

from typing import NamedTuple

from meshproxy.telemetry.access_log import AccessLogWriter
from meshproxy.telemetry.caller_totals import CallerTotals
from meshproxy.telemetry.events import EventLog
from meshproxy.telemetry.exemplars import Exemplars
from meshproxy.telemetry.export import TelemetryExport
from meshproxy.telemetry.handshake_totals import HandshakeTotals
from meshproxy.telemetry.recent_requests import RecentRequests
from meshproxy.telemetry.request_durations import DurationTotals
from meshproxy.telemetry.request_totals import RequestTotals
from meshproxy.telemetry.totals import Totals


class Reports(NamedTuple):
    """One of each, for the life of the process."""

    totals: Totals
    requests: RequestTotals
    handshakes: HandshakeTotals
    durations: DurationTotals
    access_log: AccessLogWriter
    export: TelemetryExport
    exemplars: Exemplars
    events: EventLog
    recent: RecentRequests
    callers: CallerTotals

    @classmethod
    def of(cls, export: TelemetryExport, events: EventLog) -> Reports:
        """With nothing reported yet."""
        return cls(
            Totals(),
            RequestTotals(),
            HandshakeTotals(),
            DurationTotals(),
            AccessLogWriter(),
            export,
            Exemplars(),
            events,
            RecentRequests(),
            CallerTotals(),
        )
