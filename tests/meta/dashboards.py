"""The dashboards, rules and alerts of this project, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.meta.project import ROOT

OBSERVABILITY = ROOT / "deploy" / "observability"
DASHBOARDS = sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((OBSERVABILITY / "prometheus" / "rules").glob("*.yml"))


def load(path: Path) -> Any:
    """A YAML file, or a JSON file, which is YAML as well."""
    return yaml.safe_load(path.read_text())


def rules() -> list[dict[str, Any]]:
    """Every rule of every group."""
    return [rule for path in RULES for group in load(path)["groups"] for rule in group["rules"]]


def queries(dashboard: Any) -> Iterator[str]:
    """What its panels ask for."""
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
