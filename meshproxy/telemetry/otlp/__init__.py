"""Traces, metrics and logs for an OpenTelemetry collector, as OTLP over HTTP.

`spans`, `metrics` and `logs` make OpenTelemetry's own protobuf messages of what the workers report; a `Sender` for
each signal sends them in batches, with what is waiting bounded: a collector that is down costs data, never time or
memory. The messages are built directly and sent by aiohttp, since the SDK's exporters block a thread while they wait,
cannot be interrupted, and take three times the memory.
"""
