"""Whether anything is exported, and how: follows the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.snapshot.messages import AccessRecords, TraceRecords
from meshproxy.snapshot.telemetry import OTLPSettings
from meshproxy.telemetry.metrics import Family
from meshproxy.telemetry.request_durations import DurationCounts, DurationKind

if TYPE_CHECKING:
    from meshproxy.telemetry.otlp.exporter import OTLPExporter


class SignalStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of the traces, metrics or logs of an endpoint; `problem` says why they cannot be sent now."""

    signal: str
    endpoint: str
    sent: int
    dropped: int
    waiting: int
    problem: str


class TelemetryExport:
    """Owns the exporter. Without one, OpenTelemetry's modules are not loaded."""

    def __init__(
        self,
        families: Callable[[], Iterable[Family]],
        durations: Callable[[], Mapping[DurationKind, DurationCounts]],
        wall: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._parts = (families, durations, wall, random, wall())
        self._exporter: OTLPExporter | None = None
        self._leaving = OwnedTasks()

    def configure(self, settings: OTLPSettings | None) -> None:
        """Export as `settings` say from now on; what waits for another collector is sent there still."""
        current = self._exporter
        if settings == (current.settings if current is not None else None):
            return
        if current is not None:
            self._leaving.start(current.stop(flush=True), name="OTLP exporter's end")
            self._exporter = None
        if settings is not None:
            from meshproxy.telemetry.otlp.exporter import OTLPExporter

            self._exporter = OTLPExporter(settings, *self._parts)
            self._exporter.start()

    def export_traces(self, message: TraceRecords) -> None:
        if self._exporter is not None:
            self._exporter.export_traces(message)

    def export_requests(self, message: AccessRecords) -> None:
        if self._exporter is not None:
            self._exporter.export_requests(message)

    def status(self) -> tuple[SignalStatus, ...]:
        exporter = self._exporter
        if exporter is None:
            return ()
        endpoint = exporter.settings.endpoint
        counts: Mapping[str, tuple[int, int, int, str]] = exporter.status()
        return tuple(
            SignalStatus(signal=signal, endpoint=endpoint, sent=sent, dropped=dropped, waiting=waiting, problem=problem)
            for signal, (sent, dropped, waiting, problem) in counts.items()
        )

    async def stop(self) -> None:
        """Send what waits, for a moment at the most."""
        if self._exporter is not None:
            await self._exporter.stop(flush=True)
            self._exporter = None
        await self._leaving.cancel()
