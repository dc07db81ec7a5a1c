"""docs/access-log.md names exactly the operators, members and flags that there are."""

from __future__ import annotations

import re

from meshproxy.base.command_operators import JSON_FORMAT, OPERATORS, TEXT_FORMAT
from meshproxy.base.response_flags import FLAGS
from tests.meta.project import ROOT

TEXT = (ROOT / "docs" / "access-log.md").read_text()


def test_operators() -> None:
    rows = "\n".join(re.findall(r"^\| `%.*", TEXT, re.MULTILINE))
    assert set(re.findall(r"%([A-Z][A-Z_]+)(?:\([^)]*\))?%", rows)) == set(OPERATORS)


def test_formats() -> None:
    assert TEXT_FORMAT in " ".join(TEXT.split())
    (members,) = re.findall(r"Istio gives them: (.*?)\. What", TEXT, re.DOTALL)
    assert re.findall(r"`(\w+)`", members) == list(JSON_FORMAT)


def test_flags() -> None:
    assert dict(re.findall(r"^\| `([A-Z]+)` \| (.*) \|$", TEXT, re.MULTILINE)) == FLAGS
