"""docs/migration.md: our side of each translation means what the other side said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshproxy.cli.main import main
from tests.meta.project import ROOT
from tests.support.docker import make_container, translate

TEXT = (ROOT / "docs" / "migration.md").read_text()
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
OF_TRAEFIK, OF_ENVOY = _YAML.findall(TEXT)
LABELS = re.findall(r'`meshproxy\.dev/([a-z.-]+): "?([^"`]+)"?`', TEXT)


def is_taken(manifests: Path, path: str) -> bool:
    """Whether a request for `path` takes a rule."""
    words = ("route", "explain", "-c", str(manifests), "--service", "shop", "--path", path, "-o", "json")
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    return json.loads(result.stdout)["answer"].get("matches", False) is True


@pytest.mark.parametrize("manifests", [OF_TRAEFIK, OF_ENVOY], ids=["traefik", "envoy"])
def test_manifests_are_valid(tmp_path: Path, manifests: str) -> None:
    (tmp_path / "m.yaml").write_text(manifests)
    result = CliRunner().invoke(main, ["validate", str(tmp_path)])
    assert (result.exit_code, "warning" in result.output) == (0, False), result.output


@pytest.mark.parametrize(("path", "fits"), [("/cart", True), ("/cart/1", True), ("/cartoon", False), ("/", False)])
def test_the_route_is_that_of_envoy(tmp_path: Path, path: str, fits: bool) -> None:
    """``path_separated_prefix``: the same answers as a real Envoy's with the snippet beside it."""
    (tmp_path / "m.yaml").write_text(OF_ENVOY)
    assert is_taken(tmp_path / "m.yaml", path) == fits


def test_labels_do_what_those_of_traefik_do() -> None:
    said = dict(LABELS)
    assert {"service", "host", "port", "health.path", "canary-weight", "mirror"} == set(said)
    container = make_container("shop-1", *(f"{name}={said[name]}" for name in ("service", "host", "port")))
    canary = make_container("next-1", "service=shop", "port=8080", f"canary-weight={said['canary-weight']}")
    checked = make_container("mirror-1", "service=shop", "port=8080", f"mirror={said['mirror']}")
    healthy = make_container("shop-2", "service=shop", "port=8080", f"health.path={said['health.path']}")
    found = translate(container, healthy, canary, checked, gateway="edge")
    assert found.problems == []
    assert found.service("shop").spec.ports[0].port == 8080
    assert found.shares("shop") == [{"shop": 9, "shop-canary": 1}]
    assert found.policies["shop"].spec.health_check is not None
    assert any(route.spec.hostnames == ("shop.example.com",) for route in found.routes.values())
