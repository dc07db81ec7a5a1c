"""Loading text, and what is said about it."""

from __future__ import annotations

from meshproxy.loader.load import Loaded, SourceText, load


def load_text(text: str) -> Loaded:
    return load([SourceText("m.yaml", text.encode())])


def said(text: str) -> list[str]:
    return [str(finding) for finding in load_text(text).findings]
