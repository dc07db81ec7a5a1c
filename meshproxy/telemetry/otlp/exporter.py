"""The three signals' senders, as configured now."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

import aiohttp

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.snapshot.messages import AccessRecord, AccessRecords, TraceRecord, TraceRecords
from meshproxy.snapshot.telemetry import OTLPSettings, Temporality
from meshproxy.telemetry.metrics import Family
from meshproxy.telemetry.otlp import logs, spans
from meshproxy.telemetry.otlp.metrics import MetricsReader
from meshproxy.telemetry.otlp.sender import BATCH, MAX_WAITING, Collector, Sender, SenderStatus, Serializable
from meshproxy.telemetry.otlp.values import resource
from meshproxy.telemetry.request_durations import DurationCounts, DurationKind

WAITING_METRICS = 8
"""Readings that wait while the collector is away."""
FLUSH_WITHIN = 2.0
"""Seconds that the end of the process waits for what is still to be sent."""
HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
"""``name=value,…`` (OpenTelemetry's specification): keys of a collector belong into no manifest."""

T = TypeVar("T")


class OTLPExporter:
    """What one configuration exports, from `start` to `stop`.

    `families` and `durations` give all metrics, counted since `counted_since`; `wall` is a clock of Unix time.
    """

    def __init__(
        self,
        settings: OTLPSettings,
        families: Callable[[], Iterable[Family]],
        durations: Callable[[], Mapping[DurationKind, DurationCounts]],
        wall: Callable[[], float],
        random: Callable[[], float],
        counted_since: float,
    ) -> None:
        self.settings = settings
        self._families = families
        self._durations = durations
        self._wall = wall
        self._resource = resource(settings.attributes)
        self._reader = MetricsReader(settings.temporality, counted_since)
        connector = aiohttp.TCPConnector(ssl=_context(settings.ca_file), limit=4)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=True)
        self._tasks = OwnedTasks()
        self.traces: Sender[TraceRecord] | None = None
        self.logs: Sender[AccessRecord] | None = None
        self.metrics: Sender[Serializable] | None = None
        if settings.traces:
            self.traces = self._sender("traces", partial(spans.request_of, resource=self._resource), random)
        if settings.access_log:
            self.logs = self._sender("logs", partial(logs.request_of, resource=self._resource), random)
        if settings.metrics_interval is not None:
            self.metrics = self._sender("metrics", _only, random, most=WAITING_METRICS, batch=1)

    def _sender(
        self,
        signal: str,
        encode: Callable[[list[T]], Serializable],
        random: Callable[[], float],
        most: int = MAX_WAITING,
        batch: int = BATCH,
    ) -> Sender[T]:
        settings = self.settings
        headers = {**settings.headers, **_headers_of_environment()}
        collector = Collector(f"{settings.endpoint.rstrip('/')}/v1/{signal}", headers, settings.timeout)
        return Sender(signal, collector, self._session, encode, random, most, batch)

    def start(self) -> None:
        """Send from now on."""
        for signal, sender in self._senders().items():
            self._tasks.start(sender.run(), name=f"OTLP {signal}")
        if self.settings.metrics_interval is not None:
            self._tasks.start(self._read_metrics(self.settings.metrics_interval), name="OTLP metrics reader")

    async def stop(self, *, flush: bool) -> None:
        """Send no more; with `flush`, what waits has a moment to go, and metrics are read for the last time."""
        await self._tasks.cancel()
        if flush:
            try:
                async with asyncio.timeout(FLUSH_WITHIN):
                    if self.metrics is not None:
                        self.metrics.put([await self._reading()])
                    await asyncio.gather(*(sender.flush() for sender in self._senders().values()))
            except TimeoutError:
                pass
        await self._session.close()

    async def _read_metrics(self, interval: float) -> None:
        assert self.metrics is not None
        if self.settings.temporality is Temporality.DELTA:
            await self._reading()  # what was before was sent, if it was to be sent
        while True:
            await asyncio.sleep(interval)
            self.metrics.put([await self._reading()])

    async def _reading(self) -> Serializable:
        families, durations = self._families(), self._durations()
        return await asyncio.to_thread(self._reader.read, families, durations, self._resource, self._wall())

    def _senders(self) -> Mapping[str, Sender[Any]]:
        senders = {"traces": self.traces, "logs": self.logs, "metrics": self.metrics}
        return {signal: sender for signal, sender in senders.items() if sender is not None}

    # -- what workers report -------------------------------------------------------------

    def export_traces(self, message: TraceRecords) -> None:
        if self.traces is not None:
            self.traces.put(message.records, message.dropped)

    def export_requests(self, message: AccessRecords) -> None:
        if self.logs is not None:
            self.logs.put(message.records, message.dropped)

    def status(self) -> Mapping[str, SenderStatus]:
        """By signal."""
        return {signal: sender.status() for signal, sender in self._senders().items()}


def _only(batch: list[Serializable]) -> Serializable:
    (message,) = batch
    return message


def _context(ca_file: str) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=ca_file) if ca_file else True


def _headers_of_environment() -> dict[str, str]:
    """Percent-encoded pairs (W3C Baggage's form, without properties); what is none is passed over."""
    pairs = (part.partition("=") for part in os.environ.get(HEADERS_VARIABLE, "").split(","))
    return {name.strip(): unquote(value.strip()) for name, mark, value in pairs if mark and name.strip()}
