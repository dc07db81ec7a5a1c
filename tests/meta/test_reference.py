"""docs/reference.md is what the structs say now."""

from __future__ import annotations

import re

from meshproxy.cli.reference import GUIDES, make_reference
from meshproxy.resources import KINDS
from tests.meta.project import ROOT

TEXT = (ROOT / "docs" / "reference.md").read_text()


def test_the_reference_is_up_to_date() -> None:
    assert make_reference() == TEXT, "meshproxy/resources changed: make reference"


def test_every_kind_and_its_links_are_there() -> None:
    headings = {heading.lower() for heading in re.findall(r"^##+ (\w+)$", TEXT, re.MULTILINE)}
    assert {kind.lower() for _, kind in KINDS} == {kind.lower() for kind in GUIDES}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_guides_have_the_sections_that_are_linked() -> None:
    for place in GUIDES.values():
        name, _, anchor = place.partition("#")
        headings = re.findall(r"^##+ (.+)$", (ROOT / "docs" / name).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, place
