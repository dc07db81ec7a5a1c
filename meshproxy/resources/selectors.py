"""Kubernetes `meta/v1.LabelSelector`."""

from __future__ import annotations

import enum

from meshproxy.resources.meta import Shape


class SelectorOperator(enum.StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelSelectorRequirement(Shape, frozen=True, kw_only=True):
    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()


class LabelSelector(Shape, frozen=True, kw_only=True):
    """All of it must hold; an empty one selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
