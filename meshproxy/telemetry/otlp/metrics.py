"""The metrics of `telemetry.prometheus`, as OTLP's sums, gauges and histograms.

They are made of the same families, so that both ways show the same numbers. Names are as OpenTelemetry's conventions
have them, with dots and without units (``meshproxy.route.request_duration``); whatever makes Prometheus' names of
those makes ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from meshproxy.snapshot.telemetry import Temporality
from meshproxy.telemetry.latency import BOUNDS
from meshproxy.telemetry.metrics import Family, Sample
from meshproxy.telemetry.otlp.values import Plain, attributes, nanoseconds, scope
from meshproxy.telemetry.prometheus import METRICS
from meshproxy.telemetry.request_durations import DurationCounts, DurationKind
from meshproxy.telemetry.semantics import DURATION_BOUNDS

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_BUCKET = re.compile(r'^_bucket(.*?),?le="([^"]+)"}$')
_Series = tuple[str, str | DurationKind]
"""(metric, label text or what is told apart)."""
DURATION = "http.server.request.duration"
_TEMPORALITIES = {
    Temporality.CUMULATIVE: AGGREGATION_TEMPORALITY_CUMULATIVE,
    Temporality.DELTA: AGGREGATION_TEMPORALITY_DELTA,
}


class MetricsReader:
    """Makes what is sent, each time of what there is then. Owns what was sent before, which deltas are told from."""

    def __init__(self, temporality: Temporality, started: float) -> None:
        self._is_delta = temporality is Temporality.DELTA
        self._temporality = _TEMPORALITIES[temporality]
        self._since = started
        self._before: dict[_Series, tuple[float, ...]] = {}

    def read(
        self,
        families: Iterable[Family],
        durations: Mapping[DurationKind, DurationCounts],
        resource: Resource,
        now: float,
    ) -> ExportMetricsServiceRequest:
        """What is sent to ``/v1/metrics``; times are Unix times."""
        sent: dict[_Series, tuple[float, ...]] = {}
        metrics = [each for family in families if (each := self._metric(*family, now, sent)) is not None]
        if durations:
            metrics.append(self._duration_metric(durations, now, sent))
        if self._is_delta:
            self._before, self._since = sent, now
        scoped = ScopeMetrics(scope=scope(), metrics=metrics)
        return ExportMetricsServiceRequest(
            resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scoped])]
        )

    def _metric(
        self, name: str, samples: Iterable[Sample], now: float, sent: dict[_Series, tuple[float, ...]]
    ) -> Metric | None:
        about = METRICS[name]
        samples = list(samples)
        if not samples:
            return None
        made = Metric(name=_name(name), description=about.help, unit=_unit(name))
        if about.kind == "gauge":
            made.gauge.CopyFrom(Gauge(data_points=(_number(labels, value, now) for labels, value in samples)))
        elif about.kind == "counter":
            points = (self._counted(name, labels, value, now, sent) for labels, value in samples)
            sums = Sum(data_points=points, aggregation_temporality=self._temporality, is_monotonic=True)
            made.sum.CopyFrom(sums)
        else:
            points = (
                self._histogram((name, labels), _labels(labels), BOUNDS, numbers, now, sent)
                for labels, numbers in _histograms(samples)
            )
            made.histogram.CopyFrom(Histogram(data_points=points, aggregation_temporality=self._temporality))
        return made

    def _duration_metric(
        self, durations: Mapping[DurationKind, DurationCounts], now: float, sent: dict[_Series, tuple[float, ...]]
    ) -> Metric:
        """The one metric that the conventions require of HTTP servers."""
        points = (
            self._histogram((DURATION, kind), _attributes_of(kind), DURATION_BOUNDS, (*buckets, seconds), now, sent)
            for kind, (buckets, seconds) in durations.items()
        )
        made = Metric(name=DURATION, description="Duration of HTTP server requests.", unit="s")
        made.histogram.CopyFrom(Histogram(data_points=points, aggregation_temporality=self._temporality))
        return made

    def _counted(
        self, name: str, labels: str, value: float, now: float, sent: dict[_Series, tuple[float, ...]]
    ) -> NumberDataPoint:
        (grown,) = self._grown((name, labels), (value,), sent)
        point = _number(labels, grown, now)
        point.start_time_unix_nano = nanoseconds(self._since)
        return point

    def _histogram(
        self,
        series: _Series,
        described: Mapping[str, Plain | None],
        bounds: Sequence[float],
        numbers: tuple[float, ...],
        now: float,
        sent: dict[_Series, tuple[float, ...]],
    ) -> HistogramDataPoint:
        """`numbers` are the buckets' counts, then the sum."""
        *buckets, total = self._grown(series, numbers, sent)
        return HistogramDataPoint(
            attributes=attributes(described),
            start_time_unix_nano=nanoseconds(self._since),
            time_unix_nano=nanoseconds(now),
            count=int(sum(buckets)),
            sum=total,
            bucket_counts=map(int, buckets),
            explicit_bounds=bounds,
        )

    def _grown(
        self, series: _Series, numbers: tuple[float, ...], sent: dict[_Series, tuple[float, ...]]
    ) -> tuple[float, ...]:
        """`numbers`, or for deltas what they grew by: all of them where they are less than before, and began anew."""
        if not self._is_delta:
            return numbers
        sent[series] = numbers
        before = self._before.get(series)
        if before is None or any(number < was for number, was in zip(numbers, before, strict=True)):
            return numbers
        return tuple(number - was for number, was in zip(numbers, before, strict=True))


def _histograms(samples: Iterable[Sample]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """(label text, counts of the buckets and the sum) from Prometheus' cumulative series, which come in this order."""
    reached: list[float] = []
    labels = ""
    for text, value in samples:
        bucket = _BUCKET.match(text)
        if bucket is not None:
            labels = f"{bucket[1]}}}" if bucket[1] != "{" else ""
            reached.append(value)
        elif text.startswith("_sum"):
            yield labels, (*(high - low for low, high in zip([0.0, *reached], reached, strict=False)), value)
            reached = []


def _attributes_of(kind: DurationKind) -> dict[str, Plain | None]:
    failed = kind.status >= 500 or not kind.status
    return {
        "http.request.method": kind.method,
        "url.scheme": kind.scheme,
        "http.response.status_code": kind.status or None,
        "http.route": kind.rule or None,
        "error.type": (str(kind.status) if kind.status else "_OTHER") if failed else None,
        "meshproxy.listener": kind.listener,
    }


def _number(labels: str, value: float, now: float) -> NumberDataPoint:
    point = NumberDataPoint(attributes=attributes(_labels(labels)), time_unix_nano=nanoseconds(now))
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    return point


def _labels(text: str) -> dict[str, str | None]:
    """The labels of Prometheus' text; an empty one is as good as none."""
    return {
        name: _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], value)
        if "\\" in value
        else value or None
        for name, value in _LABEL.findall(text)
    }


def _name(name: str) -> str:
    """``meshproxy_route_requests_total`` → ``meshproxy.route.requests``."""
    parts = name.removesuffix("_total").removesuffix("_seconds").removesuffix("_bytes").split("_", 2)
    return ".".join(parts)


def _unit(name: str) -> str:
    """UCUM's, as the name says it."""
    name = name.removesuffix("_total")
    if name.endswith("_seconds"):
        return "s"
    return "By" if name.endswith("_bytes") else ""
