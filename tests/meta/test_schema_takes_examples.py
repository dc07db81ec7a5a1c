"""What `meshproxy schema` prints takes every example and every document's YAML, and not what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.meta.project import ROOT, markdown_files, relative

_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _documents() -> list[Any]:
    """Every resource in the examples, and in Markdown files."""
    texts = [(relative(path), path.read_text()) for path in sorted((ROOT / "examples").rglob("*.yaml"))]
    texts += [(relative(path), text) for path in markdown_files() for text in _YAML.findall(path.read_text())]
    return [
        pytest.param(document, id=f"{place}-{number}")
        for place, text in texts
        for number, document in enumerate(yaml.safe_load_all(text))
        if isinstance(document, dict) and "apiVersion" in document
    ]


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    command = [sys.executable, "-m", "meshproxy", "schema"]
    schema = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=Path("/")).stdout)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("document", _documents())
def test_the_schema_takes_it(validator: Draft202012Validator, document: dict[str, Any]) -> None:
    assert list(validator.iter_errors(document)) == []


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({**SERVICE, "kind": "Servise"}, id="kind"),
        pytest.param({**SERVICE, "spec": {"prots": []}}, id="field"),
        pytest.param({**SERVICE, "spec": {"ports": [{"port": "http"}]}}, id="type"),
        pytest.param({**SERVICE, "spec": {"type": "NodePorts"}}, id="choice"),
        pytest.param({"apiVersion": "v1", "kind": "Service"}, id="no-name"),
    ],
)
def test_the_schema_refuses_what_is_wrong(validator: Draft202012Validator, document: dict[str, Any]) -> None:
    assert validator.is_valid(SERVICE)
    assert not validator.is_valid(document)
