"""The buckets of latency histograms."""

from __future__ import annotations

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds (Prometheus' ``le``); what took longer is in one bucket more. From OpenTelemetry's advice for
``http.server.request.duration``, with two finer and one coarser."""
