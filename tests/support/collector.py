"""An OpenTelemetry collector that keeps what it is sent, decoded by the official protobufs, and fails as it is told."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Self

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """`answers` gives the status of each request to come; without any left it is 200."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.logs: list[LogRecord] = []
        self.metrics: list[list[Metric]] = []
        self.resources: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.rejects = (0, "")
        """How many spans of each request are not taken, and why."""
        self.hangs = False
        self.url = ""
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take_traces)
        app.router.add_post("/v1/logs", self._take_logs)
        app.router.add_post("/v1/metrics", self._take_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for requests until `condition` holds."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _take_traces(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await self._body(request))
        answer = await self._answer(request)
        if answer.status == 200:
            for each in message.resource_spans:
                self.resources.append(plain(each.resource.attributes))
                self.spans += [span for scope in each.scope_spans for span in scope.spans]
        return answer

    async def _take_logs(self, request: web.Request) -> web.Response:
        message = ExportLogsServiceRequest.FromString(await self._body(request))
        answer = await self._answer(request)
        if answer.status == 200:
            self.logs += [
                each for found in message.resource_logs for scope in found.scope_logs for each in scope.log_records
            ]
        return answer

    async def _take_metrics(self, request: web.Request) -> web.Response:
        message = ExportMetricsServiceRequest.FromString(await self._body(request))
        answer = await self._answer(request)
        if answer.status == 200:
            self.metrics += [list(scope.metrics) for found in message.resource_metrics for scope in found.scope_metrics]
        return answer

    async def _body(self, request: web.Request) -> bytes:
        assert request.content_type == "application/x-protobuf"
        body = await request.read()  # aiohttp has unpacked it, as Content-Encoding says
        return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body

    async def _answer(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        self._changed.set()
        if self.hangs:
            await asyncio.Event().wait()
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if status != 200:
            return web.Response(status=status, headers=headers, text="as it was told")
        number, why = self.rejects
        partly = ExportTracePartialSuccess(rejected_spans=number, error_message=why)
        answer = ExportTraceServiceResponse(partial_success=partly if number else None)
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")


def plain(attributes: object) -> dict[str, object]:
    """Attributes as a dictionary."""
    found: dict[str, object] = {}
    for each in attributes:  # type: ignore[attr-defined]
        assert isinstance(each, KeyValue)
        kind = each.value.WhichOneof("value")
        assert kind is not None
        found[each.key] = getattr(each.value, kind)
    return found
