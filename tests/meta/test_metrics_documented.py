"""docs/metrics.md names exactly the metrics that there are."""

from __future__ import annotations

import re

from meshproxy.telemetry.prometheus import METRICS
from tests.meta.project import ROOT


def test_documented_metrics_are_those_that_exist() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(meshproxy_[a-z_]+)`", text, re.MULTILINE))
    assert documented == set(METRICS)
