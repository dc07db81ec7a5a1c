# ruff: noqa: E501 a table reads best with a case on a line
"""What a Proxy says of telemetry that is wrong, what is said about it, and what is right."""

from __future__ import annotations

import pytest

from tests.support.loading import load_text, said

PROXY = "apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: p}\nspec:\n  telemetry: "
OTLP = "otlp: {endpoint: 'http://c:4318'}"

WRONG: dict[str, tuple[str, str]] = {
    "no endpoint": ("{otlp: {}}", "spec.telemetry.otlp.endpoint: this field is required"),
    "no URL": ("{otlp: {endpoint: 'c:4318'}, metrics: {}}", "spec.telemetry.otlp.endpoint: 'c:4318' is no URL of a collector; write it as http://127.0.0.1:4318"),
    "another scheme": ("{otlp: {endpoint: 'grpc://c'}, metrics: {}}", "'grpc://c' is no URL of a collector"),
    "port": ("{otlp: {endpoint: 'http://c:99999'}, metrics: {}}", "'http://c:99999' is no URL"),
    "query": ("{otlp: {endpoint: 'http://c/?a'}, metrics: {}}", "must not have a query or a fragment"),
    "gRPC's port": ("{otlp: {endpoint: 'http://c:4317'}, metrics: {}}", "spec.telemetry.otlp.endpoint: warning: 4317 is OTLP over gRPC as a rule"),
    "header": ("{otlp: {endpoint: 'http://c', headers: {'a b': c}}, metrics: {}}", "spec.telemetry.otlp.headers.a b: 'a b' is no name"),
    "header's value": ('{otlp: {endpoint: "http://c", headers: {a: "b\\nc"}}, metrics: {}}', "spec.telemetry.otlp.headers.a: 'b\\nc' is no value"),
    "time-out": ("{otlp: {endpoint: 'http://c', timeout: 0s}, metrics: {}}", "spec.telemetry.otlp.timeout: must be longer than 0s"),
    "nothing to send": (f"{{{OTLP}}}", "spec.telemetry.otlp: warning: nothing is sent without one of tracing, metrics and logs"),
    "nowhere to go": ("{metrics: {}}", "spec.telemetry.metrics: warning: has nowhere to go without telemetry.otlp"),
    "share": (f"{{{OTLP}, tracing: {{samplePercent: 101}}}}", "spec.telemetry.tracing.samplePercent: 101 is out of range; it must be between 0 and 100"),
    "propagation": (f"{{{OTLP}, tracing: {{propagation: [b3]}}}}", "spec.telemetry.tracing.propagation[0]: the string 'b3' is none of W3C, B3, B3Multi (did you mean B3?)"),
    "no propagation": (f"{{{OTLP}, tracing: {{propagation: []}}}}", "spec.telemetry.tracing.propagation: must name one way at least"),
    "interval": (f"{{{OTLP}, metrics: {{interval: 0s}}}}", "spec.telemetry.metrics.interval: must be longer than 0s"),
    "temporality": (f"{{{OTLP}, metrics: {{temporality: delta}}}}", "the string 'delta' is none of Cumulative, Delta (did you mean Delta?)"),
    "no access log": (f"{{{OTLP}, logs: {{}}}}", "spec.telemetry.logs.accessLog: sends what spec.accessLog writes, which is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG.keys())
def test_wrong(text: str, expected: str) -> None:
    assert any(expected in each for each in said(PROXY + text)), said(PROXY + text)


@pytest.mark.parametrize(
    "text", [f"{{{OTLP}, tracing: {{}}}}", f"{{{OTLP}, metrics: {{}}, logs: {{}}}}\n  accessLog: {{}}"]
)
def test_right(text: str) -> None:
    assert load_text(PROXY + text).findings == ()
