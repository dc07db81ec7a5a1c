"""Dashboards and rules ask for metrics that there are, and what Grafana and the collector are given fits together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshproxy.telemetry.prometheus import METRICS
from tests.meta.dashboards import DASHBOARDS, OBSERVABILITY, load, queries, rules
from tests.meta.project import ROOT, relative

_METRIC = re.compile(r"(?<![a-z:_])meshproxy_[a-z_0-9]+")
_RECORDED = re.compile(r"[a-z]+:meshproxy_[a-z_]+:[a-z0-9_]+")
_OF_HISTOGRAMS = re.compile(r"_(bucket|count|sum)$")


def unknown(expression: str) -> set[str]:
    """Metrics that it names and that are none of ours."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    own = {_OF_HISTOGRAMS.sub("", name) if name not in METRICS else name for name in _METRIC.findall(expression)}
    return (own - set(METRICS)) | (set(_RECORDED.findall(expression)) - recorded)


@pytest.mark.parametrize("path", DASHBOARDS, ids=relative)
def test_a_dashboard_asks_for_what_there_is(path: Path) -> None:
    dashboard = load(path)
    asked = [*queries(dashboard), *(each["definition"] for each in _queried(dashboard))]
    assert len(asked) > 10
    assert {expression: found for expression in asked if (found := unknown(expression))} == {}


@pytest.mark.parametrize("path", DASHBOARDS, ids=relative)
def test_a_dashboard_is_whole(path: Path) -> None:
    dashboard = load(path)
    panels = dashboard["panels"]
    assert dashboard["uid"] == f"meshproxy-{path.stem}"
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {each["name"] for each in _queried(dashboard)}
    used = set(re.findall(r"\$([a-z]+)", " ".join(queries(dashboard))))
    assert used <= variables
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]
    assert len(set(cells)) == len(cells), "panels lie on each other"
    assert all(x < 24 for x, _ in cells)


def _cells(position: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(position["x"], position["x"] + position["w"]):
        for y in range(position["y"], position["y"] + position["h"]):
            yield x, y


def test_rules_ask_for_what_there_is() -> None:
    assert {rule["expr"]: found for rule in rules() if (found := unknown(rule["expr"]))} == {}


def test_every_alert_says_what_happened_and_how_bad_it_is() -> None:
    for alert in (rule for rule in rules() if "alert" in rule):
        assert alert["labels"]["severity"] in ("page", "ticket"), alert["alert"]
        assert alert["annotations"]["summary"], alert["alert"]


def _queried(dashboard: Any) -> Iterator[Any]:
    """Variables whose values come of the metrics."""
    return (each for each in dashboard["templating"]["list"] if each["type"] == "query")


@pytest.mark.parametrize("path", DASHBOARDS, ids=relative)
def test_everything_asks_a_datasource_that_can_be_chosen_and_is_there_at_first(path: Path) -> None:
    (provisioned,) = (OBSERVABILITY / "grafana" / "provisioning" / "datasources").iterdir()
    known = {source["uid"]: source["type"] for source in load(provisioned)["datasources"]}
    dashboard = load(path)
    (choice,) = (each for each in dashboard["templating"]["list"] if each["type"] == "datasource")
    assert known[choice["current"]["value"]] == choice["query"]
    asking = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    asking += [target for panel in asking for target in panel["targets"]]
    expected = {"type": choice["query"], "uid": f"${{{choice['name']}}}"}
    assert all(each["datasource"] == expected for each in (*asking, *_queried(dashboard)))


def test_the_collectors_pipelines_name_what_is_configured() -> None:
    collector = load(OBSERVABILITY / "otel-collector.yaml")
    for pipeline in collector["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline.get(part, ())) <= set(collector[part])
    assert set(collector["service"]["extensions"]) <= set(collector["extensions"])


def test_compose_mounts_what_is_there_and_scrapes_who_is_there() -> None:
    services = load(ROOT / "docker-compose.yml")["services"]
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()] == []
    prometheus = load(OBSERVABILITY / "prometheus" / "prometheus.yml")
    (scraped,) = prometheus["scrape_configs"][0]["dns_sd_configs"]
    proxies = {name for name, service in services.items() if "/deploy/sidecar.py" in str(service.get("entrypoint"))}
    assert set(scraped["names"]) == proxies


def test_images_have_versions() -> None:
    """What was checked against a version's documents is to be that version; ``latest`` is another thing tomorrow."""
    of_examples = "\n".join(path.read_text() for path in (ROOT / "examples").rglob("*.md"))
    images = re.findall(r"[a-z]+/[a-z-]+:[\w.-]+", of_examples)
    images += [service["image"] for service in load(ROOT / "docker-compose.yml")["services"].values()]
    assert [image for image in images if not re.search(r":v?[0-9][\w.-]*$|MESHPROXY_IMAGE", image)] == []
